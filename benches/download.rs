//! How fast a large video comes through, next to the same file passed through by Pingora's ordinary proxy: throughput
//! and CPU time of the program, both in one process and one run, in turn.
//!
//! `cargo bench --bench download`. Linux only: the CPU time is read from `/proc`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const FILE: u64 = 1 << 30;
const ROUNDS: usize = 9;

/// What one download took.
struct Cost {
    /// MiB per second.
    rate: f64,
    /// Seconds of CPU time of the program.
    cpu: f64,
}

fn main() {
    let source = serve(|stream, path| match path {
        "/file.mp4" => {
            let head = format!("HTTP/1.1 200 X\r\ncontent-type: video/mp4\r\ncontent-length: {FILE}\r\n\r\n");
            let piece = vec![7; 1 << 20];
            stream.write_all(head.as_bytes()).is_ok() && (0..FILE >> 20).all(|_| stream.write_all(&piece).is_ok())
        }
        _ => false,
    });
    let provider = serve(move |stream, _| {
        let body = format!(r#"{{"id":"a","status":"succeeded","output":"http://{source}/file.mp4"}}"#);
        let head =
            format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).is_ok()
    });
    let (mut program, proxy) = start(&format!(
        "listen: 127.0.0.1:0\nadmin: null\nlog: {{access: off}}\npassthrough: {{upstreams: [\"http://{source}\"]}}\n\
         providers: {{replicate: {{base_url: \"http://{provider}\", credentials: {{api_key: k-123456}}, \
         content: {{allow_hosts: [\"{source}\"]}}}}}}\n"
    ));
    let mut ratios = Vec::with_capacity(ROUNDS);
    for round in 0..=ROUNDS {
        let plain = cost(&program, proxy, "/file.mp4");
        let video = cost(&program, proxy, "/v1/videos/abc:replicate/content");
        // The first round warms up.
        if round > 0 {
            println!(
                "passed through {:7.0} MiB/s, {:.2} s of CPU   content {:7.0} MiB/s, {:.2} s of CPU   ratio {:.3}, of CPU {:.3}",
                plain.rate,
                plain.cpu,
                video.rate,
                video.cpu,
                video.rate / plain.rate,
                video.cpu / plain.cpu
            );
            ratios.push((video.rate / plain.rate, video.cpu / plain.cpu));
        }
    }
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = ratios.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        (all[ROUNDS / 2], all[0], all[ROUNDS - 1])
    };
    let (rate, cpu) = (median(|ratio| ratio.0), median(|ratio| ratio.1));
    println!("throughput of content to passthrough: median {:.3}, from {:.3} to {:.3}", rate.0, rate.1, rate.2);
    println!("CPU time of content to passthrough: median {:.3}, from {:.3} to {:.3}", cpu.0, cpu.1, cpu.2);
    let _ = program.kill().and_then(|()| program.wait());
}

/// Downloads the file once.
fn cost(program: &Child, proxy: SocketAddr, path: &str) -> Cost {
    let (began, before) = (Instant::now(), cpu_seconds(program));
    let mut stream = TcpStream::connect(proxy).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: videos.test\r\nConnection: close\r\n\r\n").unwrap();
    let (mut buffer, mut bytes) = (vec![0; 1 << 20], 0);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            read => bytes += read as u64,
        }
    }
    assert!(bytes > FILE, "{path}: {bytes} bytes");
    let rate = (bytes >> 20) as f64 / began.elapsed().as_secs_f64();
    Cost { rate, cpu: cpu_seconds(program) - before }
}

/// User and system time of the program, in clock ticks of 10 ms.
fn cpu_seconds(program: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

/// Starts the program, and waits until it listens.
fn start(config: &str) -> (Child, SocketAddr) {
    let file = std::env::temp_dir().join(format!("vidgate-bench-{}.yaml", std::process::id()));
    fs::write(&file, config).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_vidgate"))
        .args(["serve", "--config"])
        .arg(&file)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(program.stderr.take().unwrap()).lines();
    let line = lines.find_map(|line| line.ok().filter(|line| line.contains("listening"))).unwrap();
    let address = line.split("\"address\":\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
    thread::spawn(move || lines.for_each(drop));
    while TcpStream::connect(address).is_err() {
        thread::sleep(Duration::from_millis(10));
    }
    let _ = fs::remove_file(file);
    (program, address)
}

/// A plain HTTP/1.1 server; `answer` writes the answer to each path, and says whether the connection stays.
fn serve(answer: impl Fn(&mut TcpStream, &str) -> bool + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let answer = std::sync::Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = std::sync::Arc::clone(&answer);
            thread::spawn(move || {
                let mut reader = BufReader::new(stream);
                loop {
                    let mut first = String::new();
                    if reader.read_line(&mut first).unwrap_or(0) == 0 {
                        return;
                    }
                    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
                    let mut line = String::new();
                    while reader.read_line(&mut line).unwrap_or(0) > 2 {
                        line.clear();
                    }
                    if !answer(reader.get_mut(), &path) {
                        return;
                    }
                }
            });
        }
    });
    address
}
