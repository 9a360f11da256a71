//! The least that Pingora does for a request: from one listener to one upstream, and nothing else. The load rig in `bench/`
//! measures against it.
//!
//! ```sh
//! cargo run --release --example passthrough -- 127.0.0.1:8080 127.0.0.1:8000 --threads 2
//! curl http://127.0.0.1:8080/anything   # from the server at 127.0.0.1:8000
//! ```
//!
//! `--tls` speaks TLS to the upstream without checking its certificate; HTTP/2 is taken from clients that begin with it.

use async_trait::async_trait;
use pingora::apps::HttpServerOptions;
use pingora::prelude::{HttpPeer, Server};
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use pingora::server::RunArgs;
use pingora::server::configuration::ServerConf;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

/// Idle connections to the upstream that are kept.
const POOL: usize = 1024;

struct Passthrough {
    peer: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Passthrough {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(self.peer.clone()))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (listen, upstream, threads, tls) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [listen, upstream, "--threads", threads] => (listen, upstream, threads, false),
        [listen, upstream, "--threads", threads, "--tls"] => (listen, upstream, threads, true),
        _ => return Err("usage: passthrough LISTEN UPSTREAM --threads N [--tls]".into()),
    };
    let upstream: SocketAddr = upstream.parse()?;
    let mut peer = HttpPeer::new(upstream, tls, "localhost".to_owned());
    peer.options.verify_cert = false;
    peer.options.verify_hostname = false;
    peer.options.idle_timeout = Some(Duration::from_secs(50));

    let conf = ServerConf { threads: threads.parse()?, upstream_keepalive_pool_size: POOL, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Passthrough { peer });
    let mut options = HttpServerOptions::default();
    options.h2c = true;
    if let Some(proxy) = service.app_logic_mut() {
        proxy.server_options = Some(options);
    }
    service.add_tcp(listen);
    server.add_service(service);
    server.run(RunArgs::default());
    Ok(())
}
