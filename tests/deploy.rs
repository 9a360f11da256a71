//! The files under `deploy/` fit the program and each other.

use serde_json::Value;
use std::env::VarError;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use vidgate::config::{Environment, Settings};
use vidgate::providers::PROVIDERS;

/// What the program needs between the end of `shutdown_timeout` and its own.
const MARGIN: Duration = Duration::from_secs(2);

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// A pod with the Secret mounted, and no environment.
struct Pod<'a> {
    mount: &'a str,
}

impl Environment for Pod<'_> {
    fn variable(&self, _: &str) -> Result<String, VarError> {
        Err(VarError::NotPresent)
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path.starts_with(self.mount) { Ok(b"key-1\n".into()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// The documents of the Kubernetes example.
fn manifests() -> Vec<Value> {
    read("deploy/kubernetes.yaml").split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect()
}

fn manifest(kind: &str) -> Value {
    manifests().into_iter().find(|manifest| manifest["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

/// The one whose `name` is this.
#[track_caller]
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name} in {list}"))
}

fn pod_settings() -> Settings {
    let container = &manifest("Deployment")["spec"]["template"]["spec"]["containers"][0];
    let mount = named(&container["volumeMounts"], "secrets")["mountPath"].as_str().unwrap();
    let config = manifest("ConfigMap")["data"]["vidgate.yaml"].as_str().unwrap().to_owned();
    Settings::parse_with(&config, PROVIDERS, &Pod { mount }).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn the_config_of_the_kubernetes_example_loads_with_its_secret_and_nothing_else() {
    let settings = pod_settings();
    assert!(settings.listen[0].addr.ip().is_unspecified());
    assert!(!settings.providers.is_empty());
}

#[test]
fn the_kubernetes_example_fits_the_program_and_itself() {
    let settings = pod_settings();
    let deployment = manifest("Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let port = |name: &str| named(&container["ports"], name)["containerPort"].as_u64().unwrap();
    assert_eq!(port("http"), u64::from(settings.listen[0].addr.port()));
    assert_eq!(port("admin"), u64::from(settings.admin.unwrap().port()));
    for (probe, path) in [("readinessProbe", "/readyz"), ("livenessProbe", "/livez"), ("startupProbe", "/readyz")] {
        assert_eq!(container[probe]["httpGet"]["path"], path);
        assert_eq!(container[probe]["httpGet"]["port"], "admin");
    }
    let grace = Duration::from_secs(pod["terminationGracePeriodSeconds"].as_u64().unwrap());
    assert!(grace >= settings.drain + settings.shutdown_timeout + MARGIN, "{grace:?}");
    // While it drains, the probe has time to fail before requests are refused.
    let readiness = &container["readinessProbe"];
    let noticed = readiness["periodSeconds"].as_u64().unwrap() * (readiness["failureThreshold"].as_u64().unwrap() + 1);
    assert!(settings.drain > Duration::from_secs(noticed), "{noticed}");
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
    assert!(container["image"].as_str().unwrap().ends_with(concat!(":", env!("CARGO_PKG_VERSION"))));
    assert_eq!(named(&pod["volumes"], "config")["configMap"]["name"], manifest("ConfigMap")["metadata"]["name"]);

    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(labels, &deployment["spec"]["selector"]["matchLabels"]);
    assert_eq!(labels, &manifest("Service")["spec"]["selector"]);
    assert_eq!(labels, &manifest("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]);
    assert!(manifest("Service")["spec"]["ports"].as_array().unwrap().iter().all(|port| port["targetPort"] == "http"));
}

/// The values of a key of the unit, of all sections.
fn unit(key: &str) -> Vec<String> {
    let text = read("deploy/vidgate.service");
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| *name == key).map(|(_, value)| value.to_owned()).collect()
}

#[test]
fn the_unit_of_systemd_is_hardened_and_fits_the_program() {
    let text = read("deploy/vidgate.service");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let is_section = line.starts_with('[') && line.ends_with(']');
        assert!(is_section || line.contains('='), "{line}");
    }
    for (key, value) in [
        ("NoNewPrivileges", "yes"),
        ("DynamicUser", "yes"),
        ("ProtectSystem", "strict"),
        ("PrivateTmp", "yes"),
        ("CapabilityBoundingSet", ""),
        ("KillSignal", "SIGTERM"),
        ("ExecReload", "/bin/kill -HUP $MAINPID"),
    ] {
        assert_eq!(unit(key), [value], "{key}");
    }
    let defaults = Settings::parse_with(&read("conf/vidgate.yaml"), PROVIDERS, &Pod { mount: "/none" }).unwrap();
    let stop: u64 = unit("TimeoutStopSec")[0].strip_suffix('s').unwrap().parse().unwrap();
    assert!(Duration::from_secs(stop) >= defaults.drain + defaults.shutdown_timeout + MARGIN, "{stop}");
    assert!(unit("LimitNOFILE")[0].parse::<usize>().unwrap() >= 4 * defaults.max_requests);
}

#[test]
fn systemd_finds_no_fault_with_the_unit_where_it_is_there() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    // It looks whether the programs are there.
    let text = read("deploy/vidgate.service").replace("/usr/bin/vidgate", env!("CARGO_BIN_EXE_vidgate"));
    let folder = std::env::temp_dir().join(format!("vidgate-unit-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("vidgate.service");
    fs::write(&file, text).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // What it says about other units of the machine is not ours.
    let about_us: Vec<&str> = said.lines().filter(|line| line.contains("vidgate")).collect();
    assert!(about_us.is_empty(), "{said}");
}

#[test]
fn the_container_image_is_built_with_the_right_compiler_and_does_not_run_as_root() {
    let text = read("deploy/Dockerfile");
    let has = |words: &str| text.lines().any(|line| line.trim_start().starts_with(words));
    assert!(has(&format!("FROM rust:{}-", env!("CARGO_PKG_RUST_VERSION"))));
    assert!(has("USER 65532:65532") && has("EXPOSE 8080 9090") && has("HEALTHCHECK"));
    // The health check is a command that the program has, with arguments that it takes.
    let check = text.lines().find_map(|line| line.trim_start().strip_prefix("CMD [\"/usr")).unwrap();
    let arguments: Vec<&str> = check.split('"').filter(|word| !word.contains([',', ']', '/'])).collect();
    assert_eq!(arguments[..2], ["health", "--admin"], "{check}");
    // What the build needs is not kept from it.
    for needed in ["/src", "/docs", "/benches", "/Cargo.toml", "/Cargo.lock", "/README.md"] {
        assert!(!read(".dockerignore").lines().any(|line| line == needed), "{needed}");
    }
}
