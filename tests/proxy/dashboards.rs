//! The dashboard and the alerts in `deploy/` ask for numbers that the program gives.

use crate::metrics::{QUEUED, Scrape, entry};
use crate::support::{Proxy, Upstream, get};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

#[test]
fn the_dashboard_and_the_alerts_use_names_that_there_are() {
    let upstream = Upstream::json(200, QUEUED);
    let proxy = Proxy::start(&format!("admin: 127.0.0.1:0\nproviders:\n{}", entry("p", &upstream)));
    // Some families have their first series with the first event.
    get(proxy.address(), "/v1/videos/video_1:p");
    let scrape = Scrape::of(proxy.admin_address());
    let names = scrape.names();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let dashboard = fs::read_to_string(folder.join("grafana-dashboard.json")).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let panels = parsed["panels"].as_array().unwrap();
    let places: BTreeSet<_> = panels.iter().map(|panel| panel["gridPos"].to_string()).collect();
    assert_eq!(places.len(), panels.len(), "two panels lie in one place");
    let rules = fs::read_to_string(folder.join("prometheus-rules.yaml")).unwrap();
    let parsed: serde_json::Value = serde_saphyr::from_str(&rules).unwrap();
    for rule in parsed["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()) {
        assert!(rule["expr"].is_string() && rule["alert"].is_string(), "{rule}");
        assert!(rule["annotations"]["summary"].is_string() && rule["labels"]["severity"].is_string(), "{rule}");
    }
    for (file, text, least) in [("dashboard", &dashboard, 15), ("rules", &rules, 6)] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let used: BTreeSet<&str> =
            words.filter(|word| word.starts_with("vidgate_") || word.starts_with("process_")).collect();
        assert!(used.len() >= least, "{file}: {used:?}");
        let missing: Vec<_> = used.difference(&names).collect();
        assert!(missing.is_empty(), "{file} uses {missing:?}, there are {names:?}");
    }
}
