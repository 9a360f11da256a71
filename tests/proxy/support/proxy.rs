//! The program in a process of its own.

use super::wait_until;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A running proxy; it is killed when dropped.
pub struct Proxy {
    child: Child,
    address: SocketAddr,
    file: PathBuf,
    log: Arc<Mutex<String>>,
}

impl Proxy {
    /// Starts the program with this config. `listen` and `admin` get free ports unless the text sets them.
    pub fn start(config: &str) -> Proxy {
        Proxy::start_with(config, &[])
    }

    /// The same with variables in its environment.
    pub fn start_with(config: &str, environment: &[(&str, &str)]) -> Proxy {
        Proxy::launch(config, environment, &[])
    }

    /// The same with more arguments after `serve --config FILE`.
    pub fn launch(config: &str, environment: &[(&str, &str)], arguments: &[&str]) -> Proxy {
        let mut text = String::new();
        if !config.contains("\nlisten:") && !config.starts_with("listen:") {
            text.push_str("listen: 127.0.0.1:0\n");
        }
        if !config.contains("\nadmin:") && !config.starts_with("admin:") {
            text.push_str("admin: null\n");
        }
        text.push_str(config);
        let file = temporary("yaml");
        fs::write(&file, &text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_vidgate"))
            .args(["serve", "--config"])
            .arg(&file)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stderr.take().unwrap(), Arc::clone(&log));
        follow(child.stdout.take().unwrap(), Arc::clone(&log));
        let mut proxy = Proxy { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), file, log };
        proxy.address = proxy.wait_for_address();
        proxy
    }

    /// Where it listens (the first listener).
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its config file, for the tests that change it.
    #[allow(dead_code)]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Everything it has printed so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where operators reach it, once it has said so.
    pub fn admin_address(&self) -> SocketAddr {
        let mut address = None;
        wait_until("the admin listener is up", || {
            address = address_in(&self.log(), "admin listener");
            address.is_some_and(|address| TcpStream::connect(address).is_ok())
        });
        address.unwrap()
    }

    /// Sends it a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(status.success(), "kill -{name}");
    }

    /// The exit status, once it has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().and_then(|status| status.code())
    }

    fn wait_for_address(&mut self) -> SocketAddr {
        let mut address = None;
        wait_until("the proxy listens", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the proxy ended with {status}: {}", self.log());
            }
            address = address_in(&self.log(), "listening");
            address.is_some_and(|address| TcpStream::connect(address).is_ok())
        });
        address.unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.file);
    }
}

/// Runs the program to its end with these arguments.
pub fn run(arguments: &[&str], config: Option<&str>, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vidgate"));
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    let file = config.map(|text| {
        let file = temporary("yaml");
        fs::write(&file, text).unwrap();
        command.arg("--config").arg(&file);
        file
    });
    let output = command.output().unwrap();
    if let Some(file) = file {
        let _ = fs::remove_file(file);
    }
    output
}

/// A path for a file that no other test uses.
pub fn temporary(ending: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("vidgate-test-{}-{count}.{ending}", std::process::id()))
}

fn follow(output: impl std::io::Read + Send + 'static, log: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&String::from_utf8_lossy(&line));
            log.push('\n');
        }
    });
}

/// The address in the first line that says this, in either log format.
fn address_in(log: &str, what: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains(what))?;
    let (_, tail) = line.split_once("address")?;
    let text: String = tail.chars().skip_while(|c| !c.is_ascii_digit() && *c != '[').collect();
    let end = text.find(['"', ' ', ',']).unwrap_or(text.len());
    text[..end].parse().ok()
}
