//! A Pingora service of your own that also answers for videos.
//!
//! ```sh
//! cargo run --example embed -- conf/vidgate.yaml 127.0.0.1:8080 127.0.0.1:8000
//! curl http://127.0.0.1:8080/v1/videos/video_123:openai   # answered by the gateway
//! curl http://127.0.0.1:8080/anything/else                # from the service at 127.0.0.1:8000
//! ```
//!
//! Of the config only what concerns videos counts here (`providers`, `client_auth`, `public_url`, …): listeners and
//! everything behind them are yours.

use async_trait::async_trait;
use pingora::prelude::{HttpPeer, Server};
use pingora::proxy::{ProxyHttp, Session, http_proxy_service};
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use vidgate::config::Settings;
use vidgate::gateway::Gateway;

/// Your proxy. All it needs is a gateway beside whatever else it has.
struct MyProxy {
    videos: Arc<Gateway>,
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for MyProxy {
    type CTX = ();

    fn new_ctx(&self) {}

    /// The one line: a request for a video is answered here, and every other goes its usual way.
    async fn request_filter(&self, session: &mut Session, _ctx: &mut ()) -> pingora::Result<bool> {
        Ok(self.videos.intercept(session).await?.is_answered())
    }

    /// The rest of your proxy does not know about videos.
    async fn upstream_peer(&self, _session: &mut Session, _ctx: &mut ()) -> pingora::Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// Serves until the process is told to stop.
pub fn serve(settings: &Settings, listen: SocketAddr, upstream: SocketAddr) -> Result<(), Box<dyn Error>> {
    // One gateway for the whole process: it holds the connections to the providers.
    let videos = Arc::new(Gateway::new(settings)?);
    let mut server = Server::new(None)?;
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, MyProxy { videos, upstream });
    service.add_tcp(&listen.to_string());
    server.add_service(service);
    server.run_forever()
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [config, listen, upstream] = arguments.as_slice() else {
        return Err("usage: embed CONFIG LISTEN UPSTREAM".into());
    };
    serve(&Settings::load(Path::new(config))?, listen.parse()?, upstream.parse()?)
}
