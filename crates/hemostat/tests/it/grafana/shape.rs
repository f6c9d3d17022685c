//! What Grafana asks of a dashboard and of provisioning.
//!
//! The rules are those of Grafana's own schema (`kinds/dashboard/dashboard_kind.cue` of grafana/grafana, and
//! `jsonschema/dashboard.jsonschema.json` of grafana/grafana-foundation-sdk), as far as they say more than that a field
//! may be there; and what provisioning adds: a uid, no id, and a data source that exists.

use std::collections::BTreeSet;

use serde_json::Value;

use super::boards::{COLUMNS, DATASOURCE, SCHEMA_VERSION};

/// Fields of a dashboard; another one is an error.
const BOARD: &str = "annotations description editable fiscalYearStartMonth graphTooltip id links panels refresh \
    schemaVersion tags templating time timepicker timezone title uid version weekStart";
/// Fields of a panel.
const PANEL: &str = "datasource description fieldConfig gridPos id links options pluginVersion targets title \
    transformations type";
/// Fields of the defaults of values.
const DEFAULTS: &str = "color custom links mappings noValue thresholds unit";
/// Fields of a link, all of which have to be there.
const LINK: &str = "asDropdown icon includeVars keepTime tags targetBlank title tooltip type url";
/// Fields of a variable.
const VARIABLE: &str = "allValue current datasource definition description hide includeAll label multi name options \
    query refresh regex skipUrlSync sort type";
/// Fields of a query to Prometheus.
const TARGET: &str = "datasource editorMode expr format instant legendFormat range refId";
/// Units of `packages/grafana-data/src/valueFormats/categories.ts` that are used here.
const UNITS: [&str; 9] =
    ["short", "s", "percent", "percentunit", "bytes", "cps", "cpm", "dateTimeFromNow", "bool_yes_no"];
/// Kinds of panels, and the options each has to have.
const KINDS: [(&str, &str); 4] = [
    ("stat", "reduceOptions"),
    ("timeseries", "legend"),
    ("state-timeline", "legend"),
    ("table", "showHeader"),
];

#[test]
fn dashboards_are_what_grafana_exports() {
    let mut uids = BTreeSet::new();
    for board in super::dashboards() {
        let uid = word(&board["uid"]);
        assert!(uids.insert(uid.to_owned()) && (8..=40).contains(&uid.len()), "{uid}");
        has_only(&board, BOARD, uid);
        assert!(board["id"].is_null(), "{uid}: the id is the server's");
        assert_eq!(board["schemaVersion"], SCHEMA_VERSION, "{uid}");
        assert!(matches!(board["graphTooltip"].as_u64(), Some(0..=2)), "{uid}");
        for text in ["title", "description", "refresh", "timezone"] {
            assert!(!word(&board[text]).is_empty(), "{uid}: {text}");
        }
        assert!(list(&board["tags"]).contains(&"hemostat".into()), "{uid}: the links go by the tag");
        list(&board["links"]).iter().for_each(|link| is_link(link, uid));
        list(&board["templating"]["list"]).iter().for_each(|of| is_variable(of, uid));
        for of in list(&board["annotations"]["list"]) {
            for text in ["name", "iconColor"] {
                assert!(!word(&of[text]).is_empty(), "{uid}: {of}");
            }
            assert!(of["enable"].is_boolean() && of["datasource"]["uid"].is_string(), "{uid}: {of}");
        }
        let panels = list(&board["panels"]);
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
        assert_eq!(ids.len(), panels.len(), "{uid}: an id twice");
        panels.iter().for_each(|panel| is_panel(panel, uid));
        lie_apart(panels, uid);
    }
}

fn is_panel(panel: &Value, uid: &str) {
    let name = format!("{uid}: {}", word(&panel["title"]));
    has_only(panel, PANEL, &name);
    assert!(20 <= word(&panel["description"]).len(), "{name}: it says what it shows");
    assert_eq!(panel["datasource"]["uid"], DATASOURCE, "{name}");
    let kind = KINDS.iter().find(|(kind, _)| panel["type"] == *kind);
    let (kind, option) = kind.unwrap_or_else(|| panic!("{name}: {}", panel["type"]));
    assert!(!panel["options"][option].is_null(), "{name}: {option}");
    let defaults = &panel["fieldConfig"]["defaults"];
    has_only(defaults, DEFAULTS, &name);
    let overrides = list(&panel["fieldConfig"]["overrides"]);
    let units = overrides.iter().flat_map(|of| list(&of["properties"])).map(|of| &of["value"]);
    for unit in units.chain([&defaults["unit"]]) {
        assert!(UNITS.contains(&word(unit)), "{name}: {unit}");
    }
    let steps = list(&defaults["thresholds"]["steps"]);
    assert!(steps[0]["value"].is_null(), "{name}: the first step is for everything below");
    let values: Vec<_> = steps[1..].iter().map(|step| step["value"].as_f64().expect("a number")).collect();
    assert!(values.is_sorted(), "{name}: {values:?}");
    assert!(steps.iter().all(|step| !word(&step["color"]).is_empty()), "{name}");
    list(&panel["links"]).iter().for_each(|link| is_link(link, &name));
    let targets = list(&panel["targets"]);
    assert!(!targets.is_empty(), "{name}: nothing is asked");
    let letters: BTreeSet<_> = targets.iter().map(|target| word(&target["refId"])).collect();
    assert_eq!(letters.len(), targets.len(), "{name}: a letter twice");
    for target in targets {
        has_only(target, TARGET, &name);
        assert_eq!(target["datasource"]["uid"], DATASOURCE, "{name}");
        assert_eq!(target["instant"], *kind == "table", "{name}");
        assert!(!word(&target["expr"]).is_empty(), "{name}");
    }
}

/// Panels are within the grid and do not lie on each other.
fn lie_apart(panels: &[Value], uid: &str) {
    let mut taken = BTreeSet::new();
    for panel in panels {
        let [h, w, x, y] =
            ["h", "w", "x", "y"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(0 < h && 0 < w && x + w <= COLUMNS, "{uid}: {}", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{uid}: {} lies on another at {cell:?}", panel["title"]);
        }
    }
}

fn is_link(link: &Value, name: &str) {
    let fields: BTreeSet<_> = LINK.split_whitespace().collect();
    let has: BTreeSet<_> = link.as_object().expect("a link").keys().map(String::as_str).collect();
    assert_eq!(has, fields, "{name}");
    assert!(["link", "dashboards"].contains(&word(&link["type"])), "{name}");
    assert_eq!(link["type"] == "link", word(&link["url"]).starts_with("https://"), "{name}");
}

fn is_variable(of: &Value, name: &str) {
    has_only(of, VARIABLE, name);
    assert_eq!((&of["type"], &of["datasource"]["uid"]), (&"query".into(), &DATASOURCE.into()), "{name}");
    assert_eq!(of["query"]["query"], of["definition"], "{name}");
    for (field, most) in [("hide", 2), ("refresh", 2), ("sort", 8)] {
        assert!(of[field].as_u64().is_some_and(|value| value <= most), "{name}: {field}");
    }
}

fn has_only(value: &Value, fields: &str, name: &str) {
    let known: BTreeSet<_> = fields.split_whitespace().collect();
    let has = value.as_object().unwrap_or_else(|| panic!("{name}: no object"));
    let unknown: Vec<_> = has.keys().filter(|field| !known.contains(field.as_str())).collect();
    assert_eq!(unknown, [""; 0], "{name}");
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn provisioning_names_the_data_source_and_the_folder_of_the_dashboards() {
    let read = |file: &str| {
        std::fs::read_to_string(super::folder().join("provisioning").join(file)).expect("it is there")
    };
    let source = read("datasources/prometheus.yml");
    for line in [&format!("uid: {DATASOURCE}"), "type: prometheus", "url: $HEMOSTAT_PROMETHEUS_URL"] {
        assert!(source.lines().any(|said| said.trim() == line), "{line}: {source}");
    }
    let provider = read("dashboards/hemostat.yml");
    assert!(provider.contains("path: /etc/grafana/dashboards"), "{provider}");
}
