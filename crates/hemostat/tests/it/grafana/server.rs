//! A real Prometheus that scrapes and evaluates with the project's own configuration.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::shape::list;
use crate::rig::{LIMIT, Process};

/// A Prometheus that runs until it is dropped.
pub(super) struct Prometheus {
    child: Child,
    address: String,
    folder: TempDir,
}

impl Prometheus {
    /// Starts one with `grafana/prometheus/*.yml`: the services are at `targets`, and seconds stand for quarters of a
    /// minute.
    pub(super) fn start(targets: &[(&str, String)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["prometheus.yml", "recording.yml", "alerts.yml"] {
            let text =
                std::fs::read_to_string(super::folder().join("prometheus").join(file)).expect("it is there");
            let text = if file == "prometheus.yml" { brought_here(&text, targets) } else { text };
            std::fs::write(folder.path().join(file), text).expect("the file can be written");
        }
        let port = hemostat_redis::testing::free_port().expect("a port");
        let address = format!("127.0.0.1:{port}");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", folder.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus, of the package of that name");
        Self { child, address, folder }
    }

    /// The series an expression has now that have a value; what is not a number is none.
    pub(super) fn query(&self, expr: &str) -> Vec<Value> {
        let answer = self.get(&format!("query?query={}", escaped(expr)));
        let mut series = list(&answer["result"]).to_vec();
        series.retain(|of| {
            let value = of["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
            of.get("values").is_some() || value.is_some_and(|value| !value.is_nan())
        });
        series
    }

    /// What a part of the API answers.
    pub(super) fn get(&self, path: &str) -> Value {
        let text = get(&self.address, &format!("/api/v1/{path}")).unwrap_or_default();
        // While it starts it answers in plain words.
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        assert!(answer.is_null() || answer["status"] == "success", "{path}: {text}");
        answer["data"].clone()
    }

    /// Waits until an expression has a value.
    pub(super) fn until(&self, expr: &str) {
        let began = Instant::now();
        while self.query(expr).is_empty() {
            assert!(began.elapsed() < LIMIT, "`{expr}` has no value after {LIMIT:?}; {}", self.said());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What it has written to its log.
    pub(super) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The configuration with a second for 15, and the addresses of those services that are there: here none has a name.
fn brought_here(text: &str, targets: &[(&str, String)]) -> String {
    let of_dns = ["        type: A", "        port: ", "        refresh_interval: "];
    let line = |line: &str| {
        let listed = line.split_once("- targets: [").or_else(|| line.split_once("- names: ["));
        let Some((indent, names)) = listed else {
            let line = line.replace("dns_sd_configs:", "static_configs:");
            return line.replace(": 15s", ": 1s").replace("scrape_timeout: 10s", "scrape_timeout: 1s");
        };
        let there = names.split('"').filter_map(|name| {
            let service = name.split(':').next()?;
            targets.iter().find(|(target, _)| *target == service).map(|(_, address)| format!("\"{address}\""))
        });
        format!("{indent}- targets: [{}]", there.collect::<Vec<_>>().join(", "))
    };
    let lines = text.lines().filter(|text| !of_dns.iter().any(|of_dns| text.starts_with(of_dns)));
    lines.map(|text| line(text) + "\n").collect()
}

/// The address at which a process shows metrics; it is in its log, because the system chose the port.
pub(super) fn address(process: &Process) -> String {
    let began = Instant::now();
    loop {
        for line in process.said() {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            if line.to_string().contains("/metrics")
                && let Some(address) = line["address"].as_str()
            {
                return address.to_owned();
            }
        }
        assert!(began.elapsed() < LIMIT, "it does not listen; it said: {:#?}", process.said());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(_head, body)| body.to_owned())
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
