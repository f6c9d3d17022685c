//! An incident as one page: no script, no request, readable in light and dark and on paper.
//!
//! Invariant H-1: every text of an event goes through [`escaped`]; the page's policy forbids whatever would load or
//! run something all the same.

use std::fmt::Write as _;
use std::time::Duration;

use hemostat_core::project::{Step, Timeline, visible};

use super::chart::{self, Figure};
use super::{Point, Story, facts, spans};
use crate::screen;

/// The page.
pub(super) fn render(story: &Story) -> String {
    let timeline = &story.timeline;
    let title = format!("Incident of {}", timeline.subject);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{title}</h1>\n",
        title = escaped(&title)
    );
    let mut put = |text: &str| writeln!(out, "{text}").expect("writing to a string does not fail");
    put("<dl class=\"facts\">");
    for (name, value) in facts(timeline) {
        put(&format!("<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value)));
    }
    put("</dl>\n<dl class=\"spans\">");
    for (name, value) in spans(timeline) {
        put(&format!("<div><dt>{name}</dt><dd>{}</dd></div>", escaped(&value)));
    }
    put("</dl>\n<h2>What the container showed</h2>");
    for figure in figures(&story.samples) {
        put(&chart::svg(&figure, timeline));
    }
    put("<p class=\"legend\"><span class=\"alert\">▍</span>alert <span class=\"act\">▍</span>action begins \
         <span class=\"well\">▍</span>verdict or recovery</p>");
    put("<h2>Causes</h2>");
    put(&tree(timeline));
    put("<h2>Time line (UTC)</h2>\n<ol class=\"steps\">");
    for step in &timeline.steps {
        put(&item(step));
    }
    put("</ol>\n</main>\n</body>\n</html>");
    out
}

/// `text` for the inside of an element or of a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn figures(samples: &[Point]) -> [Figure<'static>; 2] {
    let cpu = samples.iter().filter_map(|point| Some((point.at, point.cpu_percent?))).collect();
    let memory = samples.iter().filter_map(|point| Some((point.at, point.memory_bytes? as f64))).collect();
    let limit = samples.iter().filter_map(|point| point.memory_limit_bytes).max();
    [
        Figure {
            title: "CPU, percent of what it may use",
            unit: |value| format!("{value:.0} %"),
            values: cpu,
            limit: Some(100.0),
        },
        Figure {
            title: "Memory, working set",
            unit: |value| format!("{:.0} MiB", value / f64::from(1 << 20)),
            values: memory,
            limit: limit.map(|limit| limit as f64),
        },
    ]
}

/// The tree as lists in lists.
fn tree(timeline: &Timeline) -> String {
    let mut out = String::from("<ul class=\"tree\">");
    // Lists below the outermost one that are open; each stands in the item before it.
    let mut open = 0;
    for (place, step) in timeline.tree().into_iter().enumerate() {
        if open < step.depth {
            out.push_str("<ul>");
        } else if 0 < place {
            out.push_str("</li>");
            out.push_str(&"</ul></li>".repeat(open - step.depth));
        }
        open = step.depth;
        let after = step.after_cause_ms.map_or(String::new(), |ms| format!(" <i>after {}</i>", millis(ms)));
        write!(
            out,
            "<li><a href=\"#s{}-{}\">{}</a>{after} {}",
            step.partition,
            step.seq,
            step.phase.as_str(),
            escaped(&step.summary)
        )
        .expect("writing to a string does not fail");
    }
    if !timeline.steps.is_empty() {
        out.push_str("</li>");
    }
    out.push_str(&"</ul></li>".repeat(open));
    out.push_str("</ul>");
    out
}

fn item(step: &Step) -> String {
    let mut out = format!(
        "<li id=\"s{partition}-{seq}\" class=\"{class}\"><p><time>{time}</time> <i>+{after}</i> \
         <b>{phase}</b> {summary} <small>{partition}/{seq} by {by} [{id}]</small></p>",
        partition = step.partition,
        seq = step.seq,
        class = chart::class(step.phase),
        time = screen::time_of_day(step.time),
        after = millis(step.after_previous_ms),
        phase = step.phase.as_str(),
        summary = escaped(&step.summary),
        by = escaped(&step.by),
        id = step.id.short(),
    );
    for detail in &step.details {
        let (name, text) = (escaped(&detail.name), escaped(detail.text.trim_end()));
        if detail.text.trim_end().contains('\n') {
            out.push_str(&format!("<details open><summary>{name}</summary><pre>{text}</pre></details>"));
        } else {
            out.push_str(&format!("<p class=\"detail\"><b>{name}</b> {text}</p>"));
        }
    }
    out.push_str("</li>");
    out
}

fn millis(ms: u64) -> String {
    hemostat_core::project::span(Duration::from_millis(ms))
}

const STYLE: &str = "
:root{--back:#fff;--text:#1b1f24;--faint:#5b6570;--line:#d5dae0;--box:#f5f7f9;--series:#2563c9;--alert:#b25a00;--act:#7a3fc0;--well:#1a7f43}
@media(prefers-color-scheme:dark){:root{--back:#14171b;--text:#e4e8ec;--faint:#98a2ad;--line:#343b43;--box:#1d2227;--series:#6ea8ff;--alert:#f0a24a;--act:#bd93f5;--well:#56c587}}
body{margin:0;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
main{max-width:960px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:1.5rem;overflow-wrap:anywhere}h2{font-size:1.1rem;margin-top:2rem}
dl{display:grid;gap:8px 24px;grid-template-columns:repeat(auto-fit,minmax(200px,1fr));margin:0 0 16px}
dl div{min-width:0}dt{color:var(--faint);font-size:.85rem}dd{margin:0;overflow-wrap:anywhere}
.spans dd{font-size:1.2rem;font-variant-numeric:tabular-nums}
figure{margin:0 0 12px}figcaption{color:var(--faint);font-size:.85rem}svg{width:100%;height:auto}
.grid{stroke:var(--line)}.tick{fill:var(--faint);font-size:11px}
.series{fill:none;stroke:var(--series);stroke-width:1.5}.dot{fill:var(--series)}
.mark{stroke-width:1.5;stroke-dasharray:4 2}
.mark.alert{stroke:var(--alert)}.mark.act{stroke:var(--act)}.mark.well{stroke:var(--well)}
.legend .alert{color:var(--alert)}.legend .act{color:var(--act)}.legend .well{color:var(--well)}
.tree,.tree ul{list-style:none;padding-left:1.2rem;border-left:1px solid var(--line)}.tree a{color:inherit;font-weight:600}
.steps{list-style:none;padding:0}.steps>li{border-left:3px solid var(--line);padding:2px 0 2px 12px;margin:8px 0;overflow-wrap:anywhere}
.steps>.alert{border-color:var(--alert)}.steps>.act{border-color:var(--act)}.steps>.well{border-color:var(--well)}
.steps p{margin:2px 0}time{font-variant-numeric:tabular-nums}i,small{color:var(--faint);font-style:normal}
pre{background:var(--box);padding:8px;overflow:auto;max-height:24rem;white-space:pre-wrap;font-size:.85rem}
@media print{pre{max-height:none}}
";
