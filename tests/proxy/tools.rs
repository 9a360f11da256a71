//! The commands for whoever installs the program: health, completions, manual pages.

use crate::support::{Providers, Proxy, get, run, temporary, wait_until};
use std::fs;
use std::net::TcpListener;
use std::process::Output;

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn health_says_whether_the_program_should_get_traffic() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&format!("drain: 10m\nadmin: 127.0.0.1:0\n{}", providers.config("")));
    let admin = proxy.admin_address();
    let health = || run(&["health", "--admin", &admin.to_string()], None, &[]);
    wait_until("it is ready", || get(admin, "/readyz").status == 200);
    let output = health();
    assert_eq!((output.status.code(), out(&output).as_str()), (Some(0), "ready\n"), "{}", err(&output));
    proxy.signal("TERM");
    wait_until("it drains", || get(admin, "/readyz").status == 503);
    let output = health();
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("503") && err(&output).contains("draining"), "{}", err(&output));
    // The public listener has no such path.
    let output = run(&["health", "--admin", &proxy.address().to_string()], None, &[]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
}

#[test]
fn health_is_bad_where_nothing_listens() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = run(&["health", "--admin", &address.to_string()], None, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains(&address.to_string()), "{}", err(&output));
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell], None, &[]);
        assert_eq!(output.status.code(), Some(0), "{shell}: {}", err(&output));
        for command in ["serve", "check", "providers", "explain", "demo", "health"] {
            assert!(out(&output).contains(command), "{shell}: {command}");
        }
    }
    assert_eq!(run(&["completions", "cmd.exe"], None, &[]).status.code(), Some(2));
}

#[test]
fn every_command_has_a_manual_page() {
    let output = run(&["man"], None, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains(".TH vidgate 1") && out(&output).contains(".SH NAME"), "{}", out(&output));
    let folder = temporary("man");
    let output = run(&["man", "--dir", folder.to_str().unwrap()], None, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for command in ["", "-serve", "-check", "-providers", "-explain", "-demo", "-health"] {
        let page = fs::read_to_string(folder.join(format!("vidgate{command}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH OPTIONS"), "{command}: {page}");
    }
    fs::remove_dir_all(folder).unwrap();
}
