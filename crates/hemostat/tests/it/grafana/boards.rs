//! What the dashboards are made of: panels that flow from left to right, each with its unit, thresholds, and what it says.
//!
//! A panel as Grafana exports it is a hundred lines, of which ninety are the same for its kind. Here is what they differ
//! in; [`Board::json`] writes what Grafana 11.1 exports for schema version 39.

use serde_json::{Value, json};

pub(crate) mod agents;
pub(crate) mod incidents;
pub(crate) mod lag;
pub(crate) mod overview;

/// The schema of Grafana 10.3 to 11.2; later ones read it and bring it up to date.
pub(crate) const SCHEMA_VERSION: u64 = 39;
/// The data source of `grafana/provisioning/datasources`.
pub(crate) const DATASOURCE: &str = "hemostat-prometheus";
/// Where operators read what to do.
pub(crate) const RUNBOOK: &str = "https://github.com/hemostat/hemostat/blob/main/docs/runbook.md";
/// Columns of Grafana's grid.
pub(crate) const COLUMNS: u64 = 24;

/// A dashboard.
pub(crate) struct Board {
    pub(crate) uid: &'static str,
    pub(crate) title: &'static str,
    pub(crate) description: &'static str,
    pub(crate) variables: Vec<Variable>,
    pub(crate) panels: Vec<Panel>,
}

/// A choice at the top: the values of a label.
pub(crate) struct Variable {
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    pub(crate) query: &'static str,
}

/// The hosts whose containers are shown.
pub(crate) const HOST: Variable = Variable {
    name: "host",
    says: "Hosts of container engines.",
    query: "label_values(hemostat_container_info, host)",
};

/// How a panel shows its values.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Stat,
    Lines,
    Bars,
    States,
    Table,
}

/// A panel.
pub(crate) struct Panel {
    kind: Kind,
    title: &'static str,
    says: &'static str,
    width: u64,
    unit: &'static str,
    steps: Vec<(f64, &'static str)>,
    queries: Vec<(String, &'static str)>,
    alerts: Vec<&'static str>,
    columns: Vec<Column>,
    nothing: &'static str,
    sort: Option<(&'static str, bool)>,
    words: Vec<(&'static str, &'static str, &'static str)>,
}

/// A column of a table: its name in the answer, its title, its unit.
type Column = (&'static str, &'static str, &'static str);

/// A panel of this kind; `says` is what it tells, and from when on that is bad.
pub(crate) fn panel(kind: Kind, title: &'static str, says: &'static str) -> Panel {
    let width = match kind {
        Kind::Stat => 6,
        Kind::Lines | Kind::Bars | Kind::States => 12,
        Kind::Table => COLUMNS,
    };
    Panel {
        kind,
        title,
        says,
        width,
        unit: "short",
        steps: Vec::new(),
        queries: Vec::new(),
        alerts: Vec::new(),
        columns: Vec::new(),
        nothing: "",
        sort: None,
        words: Vec::new(),
    }
}

impl Panel {
    /// Columns it takes of 24.
    pub(crate) fn wide(mut self, width: u64) -> Self {
        self.width = width;
        self
    }

    /// Its unit, by Grafana's name of it.
    pub(crate) fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// A query; `legend` names the series. In a table it has none, and the query says by which labels: a metric's name would
    /// be a label too, and keep answers from being joined.
    pub(crate) fn query(mut self, expr: impl Into<String>, legend: &'static str) -> Self {
        self.queries.push((expr.into(), legend));
        self
    }

    /// From this value on it has this colour; below the first it is green.
    pub(crate) fn from(mut self, value: f64, color: &'static str) -> Self {
        self.steps.push((value, color));
        self
    }

    /// An alert that is about the same: the panel leads to its entry in the runbook.
    pub(crate) fn alert(mut self, name: &'static str) -> Self {
        self.alerts.push(name);
        self
    }

    /// A column of a table.
    pub(crate) fn column(mut self, name: &'static str, title: &'static str, unit: &'static str) -> Self {
        self.columns.push((name, title, unit));
        self
    }

    /// What it says while there is nothing to show.
    pub(crate) fn nothing(mut self, text: &'static str) -> Self {
        self.nothing = text;
        self
    }

    /// The column a table is sorted by, and whether the largest come first.
    pub(crate) fn sorted(mut self, title: &'static str, largest_first: bool) -> Self {
        self.sort = Some((title, largest_first));
        self
    }

    /// A value that is a word.
    pub(crate) fn word(mut self, value: &'static str, text: &'static str, color: &'static str) -> Self {
        self.words.push((value, text, color));
        self
    }

    fn height(&self) -> u64 {
        if self.kind == Kind::Stat { 4 } else { 8 }
    }

    fn json(&self, id: usize, x: u64, y: u64) -> Value {
        let mut panel = json!({
            "datasource": datasource(),
            "description": self.says,
            "fieldConfig": {"defaults": self.defaults(), "overrides": self.overrides()},
            "gridPos": {"h": self.height(), "w": self.width, "x": x, "y": y},
            "id": id,
            "links": self.alerts.iter().map(|alert| runbook(alert)).collect::<Vec<_>>(),
            "options": self.options(),
            "pluginVersion": "11.1.0",
            "targets": self.targets(),
            "title": self.title,
            "type": match self.kind {
                Kind::Stat => "stat",
                Kind::Lines | Kind::Bars => "timeseries",
                Kind::States => "state-timeline",
                Kind::Table => "table",
            },
        });
        if self.kind == Kind::Table {
            panel["transformations"] = self.transformations();
        }
        panel
    }

    fn defaults(&self) -> Value {
        let mut steps = vec![json!({"color": "green", "value": null})];
        steps.extend(self.steps.iter().map(|(value, color)| json!({"color": color, "value": value})));
        let by_steps = matches!(self.kind, Kind::Stat | Kind::Table | Kind::States);
        let mut defaults = json!({
            "color": {"mode": if by_steps { "thresholds" } else { "palette-classic" }},
            "custom": self.custom(),
            "links": [],
            "mappings": self.mappings(),
            "thresholds": {"mode": "absolute", "steps": steps},
            "unit": self.unit,
        });
        if !self.nothing.is_empty() {
            defaults["noValue"] = self.nothing.into();
        }
        if self.queries.iter().any(|(_, legend)| legend.contains("container_name")) {
            let title = "What happened to ${__field.labels.container_name}";
            defaults["links"] = json!([reading(title, "from-a-dashboard-to-the-log")]);
        }
        defaults
    }

    fn mappings(&self) -> Value {
        if self.words.is_empty() {
            return json!([]);
        }
        let option = |(index, (value, text, color)): (usize, &(&str, &str, &str))| {
            ((*value).to_owned(), json!({"color": color, "index": index, "text": text}))
        };
        let options: serde_json::Map<_, _> = self.words.iter().enumerate().map(option).collect();
        json!([{"options": options, "type": "value"}])
    }

    fn custom(&self) -> Value {
        let hide = json!({"legend": false, "tooltip": false, "viz": false});
        match self.kind {
            Kind::Stat => json!({}),
            Kind::Table => json!({"align": "auto", "cellOptions": {"type": "auto"}, "inspect": false}),
            Kind::States => {
                json!({"fillOpacity": 70, "hideFrom": hide, "insertNulls": false, "lineWidth": 0, "spanNulls": false})
            }
            Kind::Lines | Kind::Bars => json!({
                "axisBorderShow": false,
                "axisCenteredZero": false,
                "axisColorMode": "text",
                "axisLabel": "",
                "axisPlacement": "auto",
                "barAlignment": 0,
                "drawStyle": if self.kind == Kind::Bars { "bars" } else { "line" },
                "fillOpacity": if self.kind == Kind::Bars { 80 } else { 10 },
                "gradientMode": "none",
                "hideFrom": hide,
                "insertNulls": false,
                "lineInterpolation": "linear",
                "lineWidth": 1,
                "pointSize": 5,
                "scaleDistribution": {"type": "linear"},
                "showPoints": "never",
                "spanNulls": false,
                "stacking": {"group": "A", "mode": if self.kind == Kind::Bars { "normal" } else { "none" }},
                "thresholdsStyle": {"mode": if self.steps.is_empty() { "off" } else { "dashed" }},
            }),
        }
    }

    fn overrides(&self) -> Vec<Value> {
        let units = self.columns.iter().filter(|(_, _, unit)| !unit.is_empty());
        units
            .map(|(_, title, unit)| {
                json!({
                    "matcher": {"id": "byName", "options": title},
                    "properties": [{"id": "unit", "value": unit}],
                })
            })
            .collect()
    }

    fn options(&self) -> Value {
        let legend = json!({"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": true});
        match self.kind {
            Kind::Stat => json!({
                "colorMode": "value",
                "graphMode": "area",
                "justifyMode": "auto",
                "orientation": "auto",
                "percentChangeColorMode": "standard",
                "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": false},
                "showPercentChange": false,
                "textMode": "auto",
                "wideLayout": true,
            }),
            Kind::Lines | Kind::Bars => json!({
                "legend": {"calcs": ["lastNotNull", "max"], "displayMode": "table", "placement": "bottom", "showLegend": true},
                "tooltip": {"maxHeight": 600, "mode": "multi", "sort": "desc"},
            }),
            Kind::States => json!({
                "alignValue": "left",
                "legend": legend,
                "mergeValues": true,
                "rowHeight": 0.9,
                "showValue": "never",
                "tooltip": {"maxHeight": 600, "mode": "single", "sort": "none"},
            }),
            Kind::Table => {
                let sort = self.sort.map(|(title, desc)| json!({"desc": desc, "displayName": title}));
                json!({
                    "cellHeight": "sm",
                    "footer": {"countRows": false, "fields": [], "reducer": ["sum"], "show": false},
                    "frameIndex": 0,
                    "showHeader": true,
                    "sortBy": sort.into_iter().collect::<Vec<_>>(),
                })
            }
        }
    }

    fn targets(&self) -> Vec<Value> {
        let table = self.kind == Kind::Table;
        let target = |(at, (expr, legend)): (usize, &(String, &'static str))| {
            let letter = char::from(b'A' + u8::try_from(at).expect("a panel has few queries"));
            json!({
                "datasource": datasource(),
                "editorMode": "code",
                "expr": expr,
                "format": if table { "table" } else { "time_series" },
                "instant": table,
                "legendFormat": if legend.is_empty() { "__auto" } else { legend },
                "range": !table,
                "refId": letter.to_string(),
            })
        };
        self.queries.iter().enumerate().map(target).collect()
    }

    /// Joins the answers of a table by their labels, and shows the columns that were asked for.
    fn transformations(&self) -> Value {
        let names: serde_json::Map<_, _> =
            self.columns.iter().map(|(name, title, _)| ((*name).to_owned(), json!(title))).collect();
        let order: serde_json::Map<_, _> =
            self.columns.iter().enumerate().map(|(at, (name, ..))| ((*name).to_owned(), json!(at))).collect();
        let shown: Vec<_> = self.columns.iter().map(|(name, ..)| name).collect();
        json!([
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
            {"id": "organize", "options": {"excludeByName": {}, "includeByName": {}, "indexByName": order, "renameByName": names}},
        ])
    }
}

impl Board {
    /// The file of the dashboard.
    pub(crate) fn json(&self) -> Value {
        json!({
            "annotations": {"list": [built_in(), remediations()]},
            "description": self.description,
            "editable": true,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "id": null,
            "links": [
                link("HemoStat", "dashboards", "external link", "", &["hemostat"]),
                link("Runbook", "link", "doc", RUNBOOK, &[]),
            ],
            "panels": self.laid_out(),
            "refresh": "10s",
            "schemaVersion": SCHEMA_VERSION,
            "tags": ["hemostat"],
            "templating": {"list": self.variables.iter().map(variable).collect::<Vec<_>>()},
            "time": {"from": "now-1h", "to": "now"},
            "timepicker": {},
            "timezone": "browser",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
            "weekStart": "",
        })
    }

    fn laid_out(&self) -> Vec<Value> {
        let (mut x, mut y, mut below) = (0, 0, 0);
        let mut all = Vec::new();
        for (at, panel) in self.panels.iter().enumerate() {
            if COLUMNS < x + panel.width {
                (x, y) = (0, below);
            }
            all.push(panel.json(at + 1, x, y));
            below = below.max(y + panel.height());
            x += panel.width;
        }
        all
    }
}

fn datasource() -> Value {
    json!({"type": "prometheus", "uid": DATASOURCE})
}

/// What every exported dashboard has.
fn built_in() -> Value {
    json!({
        "builtIn": 1,
        "datasource": {"type": "grafana", "uid": "-- Grafana --"},
        "enable": true,
        "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)",
        "name": "Annotations & Alerts",
        "type": "dashboard",
    })
}

/// Where something was done to a container: the minute after the outcome, looked at once a minute.
fn remediations() -> Value {
    json!({
        "datasource": datasource(),
        "enable": true,
        "expr": "time() - hemostat_container_acted_timestamp_seconds{host=~\"$host\"} < 60",
        "hide": false,
        "iconColor": "purple",
        "name": "Remediations",
        "step": "60s",
        "tagKeys": "host,status",
        "textFormat": "{{action}} of {{container_name}} on {{host}}: {{status}}",
        "titleFormat": "Remediation",
        "useValueForTime": false,
    })
}

fn link(title: &str, kind: &str, icon: &str, url: &str, tags: &[&str]) -> Value {
    json!({
        "asDropdown": false,
        "icon": icon,
        "includeVars": true,
        "keepTime": true,
        "tags": tags,
        "targetBlank": kind == "link",
        "title": title,
        "tooltip": "",
        "type": kind,
        "url": url,
    })
}

fn runbook(alert: &str) -> Value {
    reading(&format!("Runbook: {alert}"), &alert.to_lowercase())
}

/// A link to a heading of the runbook, which has no time and no variables.
fn reading(title: &str, heading: &str) -> Value {
    let mut link = link(title, "link", "", &format!("{RUNBOOK}#{heading}"), &[]);
    (link["includeVars"], link["keepTime"]) = (false.into(), false.into());
    link
}

fn variable(of: &Variable) -> Value {
    json!({
        "allValue": ".*",
        "current": {"selected": true, "text": ["All"], "value": ["$__all"]},
        "datasource": datasource(),
        "definition": of.query,
        "description": of.says,
        "hide": 0,
        "includeAll": true,
        "label": of.name,
        "multi": true,
        "name": of.name,
        "options": [],
        "query": {"qryType": 1, "query": of.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "refresh": 2,
        "regex": "",
        "skipUrlSync": false,
        "sort": 1,
        "type": "query",
    })
}

/// How values of a histogram are spread.
fn quantiles(title: &'static str, says: &'static str, metric: &str) -> Panel {
    let quantile =
        |q: &str| format!("histogram_quantile({q}, sum by (le) (rate({metric}_bucket[$__rate_interval])))");
    panel(Kind::Lines, title, says)
        .unit("s")
        .query(quantile("0.5"), "p50")
        .query(quantile("0.95"), "p95")
        .query(quantile("0.99"), "p99")
        .nothing("none")
}
