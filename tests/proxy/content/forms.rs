//! Every form in which a provider gives a finished video, through the same door.

use crate::support::{Client, Providers, Proxy, Response, get, send};
use vidgate::sandbox::{KINDS, Pace};

static SAMPLE: &[u8] = include_bytes!("../../../src/sandbox/media/video.mp4");

fn start(pace: Pace) -> (Providers, Proxy) {
    let providers = Providers::start(pace);
    let proxy = Proxy::start(&providers.config_for_content());
    (providers, proxy)
}

fn content(job: &str, kind: &str) -> String {
    format!("/v1/videos/{job}:{kind}/content")
}

/// Jobs of every kind that complete: with their videos behind a link and, where the kind can, in the answer itself.
fn finished() -> Vec<(String, &'static str)> {
    let of = |code: &'static str| KINDS.iter().flat_map(move |kind| kind.jobs(code).map(move |job| (job, kind.name)));
    of("00").chain(of("08")).collect()
}

fn is_file(response: &Response, status: u16, bytes: &[u8], what: &str) {
    assert_eq!(response.status, status, "{what}: {}", response.text());
    assert!(response.body == bytes, "{what}: {} bytes instead of {}", response.body.len(), bytes.len());
    assert_eq!(response.header("content-type"), Some("video/mp4"), "{what}");
    assert_eq!(response.header("cache-control"), Some("private, no-store"), "{what}");
    assert!(response.header("x-request-id").is_some() && response.header("x-vidgate-cache").is_some(), "{what}");
}

#[test]
fn a_finished_video_of_every_kind_can_be_fetched_whole_and_in_parts() {
    let (_providers, proxy) = start(Pace::INSTANT);
    let mut client = Client::connect(proxy.address());
    let (total, last) = (SAMPLE.len(), SAMPLE.len() - 1);
    for (job, kind) in finished() {
        let (path, id) = (content(&job, kind), format!("{job}:{kind}"));
        let whole = client.request("GET", &path, &[], b"");
        is_file(&whole, 200, SAMPLE, &id);
        assert_eq!(whole.header("content-length"), Some(total.to_string().as_str()), "{id}");
        let etag = whole.header("etag").unwrap_or_else(|| panic!("{id} has no tag")).to_owned();

        let parts = [
            ("bytes=0-", 0, last),
            ("bytes=100-199", 100, 199),
            ("bytes=-10", last - 9, last),
            ("bytes=7000-99999999", 7000, last),
        ];
        for (range, start, end) in parts {
            let part = client.request("GET", &path, &[("Range", range)], b"");
            is_file(&part, 206, &SAMPLE[start..=end], &format!("{id} {range}"));
            let given = format!("bytes {start}-{end}/{total}");
            assert_eq!(part.header("content-range"), Some(given.as_str()), "{id} {range}");
            assert_eq!(part.header("etag"), Some(etag.as_str()), "{id} {range}");
        }
        for range in ["bytes=0-1,5-6", "bytes=9-5", "lines=1-2", "bytes=x-"] {
            is_file(&client.request("GET", &path, &[("Range", range)], b""), 200, SAMPLE, &format!("{id} {range}"));
        }
        let beyond = client.request("GET", &path, &[("Range", "bytes=99999999-")], b"");
        assert_eq!((beyond.status, beyond.code().as_str()), (416, "range_not_satisfiable"), "{id}");
        assert_eq!(beyond.header("content-range"), Some(format!("bytes */{total}").as_str()), "{id}");

        let same = client.request("GET", &path, &[("Range", "bytes=1-2"), ("If-Range", &etag)], b"");
        is_file(&same, 206, &SAMPLE[1..=2], &id);
        let other = client.request("GET", &path, &[("Range", "bytes=1-2"), ("If-Range", "\"other\"")], b"");
        is_file(&other, 200, SAMPLE, &id);
        let held = client.request("GET", &path, &[("If-None-Match", &etag)], b"");
        assert_eq!((held.status, held.header("etag"), held.body.len()), (304, Some(etag.as_str()), 0), "{id}");

        let head = client.request("HEAD", &path, &[("Range", "bytes=0-1")], b"");
        assert_eq!((head.status, head.header("content-type")), (200, Some("video/mp4")), "{id}");
        assert_eq!(head.header("content-length"), Some(total.to_string().as_str()), "{id}");
        assert_eq!((head.header("etag"), head.header("accept-ranges")), (Some(etag.as_str()), Some("bytes")), "{id}");
    }
}

#[test]
fn a_link_of_ours_in_the_video_object_leads_to_the_bytes() {
    let (_providers, proxy) = start(Pace::INSTANT);
    let origin = format!("http://{}", proxy.address());
    let mut followed = 0;
    for (job, kind) in finished() {
        let headers = [("Host", proxy.address().to_string())];
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let video = send(proxy.address(), "GET", &format!("/v1/videos/{job}:{kind}"), &headers).json();
        for (index, item) in video["videos"].as_array().unwrap().iter().enumerate() {
            let url = item["url"].as_str().unwrap_or_default();
            let Some(path) = url.strip_prefix(&origin) else { continue };
            assert!(path.ends_with(&format!("/content?index={index}")), "{path}");
            is_file(&get(proxy.address(), path), 200, SAMPLE, path);
            followed += 1;
        }
    }
    assert!(followed >= 5, "{followed}");
}

#[test]
fn renderings_are_served_where_the_provider_has_them() {
    let (_providers, proxy) = start(Pace::INSTANT);
    let table = [
        ("video_7c3e9a51d2f84b06a1e5c0d94f7b2800", "openai", "thumbnail", 200, "image/webp"),
        ("video_7c3e9a51d2f84b06a1e5c0d94f7b2800", "openai", "spritesheet", 200, "image/jpeg"),
        ("video_7c3e9a51d2f84b06a1e5c0d94f7b2800", "openai", "video", 200, "video/mp4"),
        ("video_7c3e9a51d2f84b06a1e5c0d94f7b2800", "openai", "sound", 400, "invalid_variant"),
        ("video_91f0b6c24d7e48a3b5d80e6f3a1c7200", "azure", "thumbnail", 200, "image/webp"),
        ("task_01k9v3xq7m2r8w5t4y6z1b3c00", "azure", "thumbnail", 200, "image/jpeg"),
        ("task_01k9v3xq7m2r8w5t4y6z1b3c00", "azure", "spritesheet", 400, "invalid_variant"),
        ("q7h2m9x4c1rj80cv5t6wbn3d00", "replicate", "thumbnail", 400, "invalid_variant"),
    ];
    for (job, kind, variant, status, what) in table {
        let response = get(proxy.address(), &format!("{}?variant={variant}", content(job, kind)));
        assert_eq!(response.status, status, "{kind} {variant}: {}", response.text());
        match status {
            200 => assert_eq!(response.header("content-type"), Some(what), "{kind} {variant}"),
            _ => assert_eq!(
                (response.code().as_str(), response.json()["error"]["param"].as_str()),
                (what, Some("variant"))
            ),
        }
    }
}

#[test]
fn what_is_not_there_is_told_apart() {
    let (_providers, proxy) = start(Pace::INSTANT);
    let table = [
        ("q7h2m9x4c1rj80cv5t6wbn3d10", "replicate", "", 409, "video_not_ready"),
        ("q7h2m9x4c1rj80cv5t6wbn3d11", "replicate", "", 409, "video_not_ready"),
        ("q7h2m9x4c1rj80cv5t6wbn3d01", "replicate", "", 409, "video_failed"),
        ("q7h2m9x4c1rj80cv5t6wbn3d04", "replicate", "", 409, "video_failed"),
        ("q7h2m9x4c1rj80cv5t6wbn3d06", "replicate", "", 409, "video_failed"),
        ("q7h2m9x4c1rj80cv5t6wbn3d00", "replicate", "?index=1", 400, "invalid_index"),
        ("q7h2m9x4c1rj80cv5t6wbn3d00", "replicate", "?index=-1", 400, "invalid_index"),
        ("q7h2m9x4c1rj80cv5t6wbn3d00", "replicate", "?index=a", 400, "invalid_index"),
        ("q7h2m9x4c1rj80cv5t6wbn3d00", "nobody", "", 400, "unknown_provider"),
        ("no/such/name", "replicate", "", 400, "invalid_video_id"),
    ];
    for (job, kind, query, status, code) in table {
        let response = get(proxy.address(), &format!("{}{query}", content(job, kind)));
        assert_eq!((response.status, response.code().as_str()), (status, code), "{job} {query}: {}", response.text());
        let waits = response.header("openai-poll-after-ms").is_some();
        assert_eq!(waits, code == "video_not_ready", "{job}");
    }
    let failed = get(proxy.address(), &content("q7h2m9x4c1rj80cv5t6wbn3d01", "replicate")).json();
    let said = get(proxy.address(), "/v1/videos/q7h2m9x4c1rj80cv5t6wbn3d01:replicate").json();
    let (message, why) = (failed["error"]["message"].as_str().unwrap(), said["error"]["message"].as_str().unwrap());
    assert!(message.contains(why), "{message}");
}

#[test]
fn other_methods_are_not_taken() {
    let (_providers, proxy) = start(Pace::INSTANT);
    let response = send(proxy.address(), "DELETE", &content("q7h2m9x4c1rj80cv5t6wbn3d00", "replicate"), &[]);
    assert_eq!((response.status, response.header("allow")), (405, Some("GET, HEAD")));
}
