//! Videos that stand in base64 in the provider's answer.

use super::answer;
use crate::support::{Proxy, Upstream, get, send};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const CONTENT: &str = "/v1/videos/models/veo-3/operations/abc:gemini/content";

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

/// A proxy before a Gemini that answers with this JSON.
fn before(body: String) -> (Upstream, Proxy) {
    let api = Upstream::json(200, &body);
    let proxy = Proxy::start(&config(&api, ""));
    (api, proxy)
}

fn config(api: &Upstream, more: &str) -> String {
    format!(
        "providers: {{gemini: {{base_url: \"http://{}\", credentials: {{api_key: k-123456}}{more}}}}}\n",
        api.address()
    )
}

fn sample(data: &str) -> String {
    format!(r#"{{"video":{{"encodedVideo":"{data}","encoding":"video/webm"}}}}"#)
}

fn done(samples: &[String]) -> String {
    format!(
        r#"{{"name":"x","done":true,"response":{{"generateVideoResponse":{{"generatedSamples":[{}]}}}}}}"#,
        samples.join(",")
    )
}

#[test]
fn videos_of_any_length_come_out_as_they_went_in() {
    for length in [0, 1, 2, 3, 4000, 20_000, 300_001] {
        // The head of a WebM: what the answer says of its type comes behind a video that is not held in memory.
        let file = [&b"\x1a\x45\xdf\xa3"[..], &bytes(length)].concat();
        let forms = [
            STANDARD.encode(&file),
            URL_SAFE_NO_PAD.encode(&file),
            STANDARD.encode(&file).replace('/', "\\/"),
            STANDARD
                .encode(&file)
                .as_bytes()
                .chunks(76)
                .map(|line| String::from_utf8_lossy(line))
                .collect::<Vec<_>>()
                .join("\\n"),
        ];
        for form in forms {
            let (_api, proxy) = before(done(&[sample(&form)]));
            let whole = get(proxy.address(), CONTENT);
            assert_eq!((whole.status, whole.header("content-type")), (200, Some("video/webm")), "{length}");
            assert!(whole.body == file, "{length}: {} bytes", whole.body.len());
        }
    }
}

#[test]
fn a_long_video_has_ranges_a_length_and_a_tag() {
    let file = bytes(500_000);
    let (api, proxy) = before(done(&[sample(&STANDARD.encode(&file))]));
    let part = send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=400000-400099")]);
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 400000-400099/500000")));
    assert!(part.body == file[400_000..400_100]);
    assert_eq!(api.requests().len(), 2, "it was measured once");
    let head = send(proxy.address(), "HEAD", CONTENT, &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("500000")));
    let tag = head.header("etag").unwrap();
    let last = send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=-1"), ("If-Range", tag)]);
    assert_eq!((last.status, last.body.as_slice()), (206, &file[499_999..]));
    let whole = get(proxy.address(), CONTENT);
    assert_eq!((whole.header("content-length"), whole.header("etag")), (Some("500000"), Some(tag)));
    assert!(whole.body == file);
}

#[test]
fn the_right_one_of_several_is_found_wherever_it_stands() {
    let (one, other) = (bytes(100_000), bytes(90_000).into_iter().rev().collect::<Vec<u8>>());
    let (long, longer) = (STANDARD.encode(&one), STANDARD.encode(&other));
    let prompt = "a long \\\"prompt\\\" ".repeat(5000);
    let documents = [
        done(&[sample(&long), sample(&longer)]),
        // What says that the job is done comes last.
        format!(
            r#"{{"metadata":{{"prompt":"{prompt}"}},"response":{{"generateVideoResponse":{{"generatedSamples":[{},{}]}}}},"done":true}}"#,
            sample(&long),
            sample(&longer)
        ),
    ];
    for document in documents {
        let (_api, proxy) = before(document);
        for (index, want) in [&one, &other].into_iter().enumerate() {
            let got = get(proxy.address(), &format!("{CONTENT}?index={index}"));
            assert_eq!(got.status, 200, "{index}: {}", got.text());
            assert!(got.body == *want, "{index}: {} bytes", got.body.len());
        }
        let none = get(proxy.address(), &format!("{CONTENT}?index=2"));
        assert_eq!((none.status, none.code().as_str()), (400, "invalid_index"));
    }
}

#[test]
fn a_data_uri_is_a_video_too() {
    let file = bytes(200_000);
    let link = format!("data:video/webm;base64,{}", STANDARD.encode(&file));
    let api = Upstream::json(200, &format!(r#"{{"id":"a","status":"succeeded","output":["{link}"]}}"#));
    let proxy = Proxy::start(&format!(
        "providers: {{replicate: {{base_url: \"http://{}\", credentials: {{api_key: k-123456}}}}}}\n",
        api.address()
    ));
    let whole = get(proxy.address(), "/v1/videos/abc:replicate/content");
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("video/webm")), "a data URI");
    assert!(whole.body == file, "{} bytes", whole.body.len());
}

#[test]
fn an_answer_larger_than_max_body_is_streamed_all_the_same() {
    let file = bytes(3_000_000);
    let api = Upstream::json(200, &done(&[sample(&STANDARD.encode(&file))]));
    let proxy = Proxy::start(&config(&api, ", max_body: 64KiB"));
    assert!(get(proxy.address(), CONTENT).body == file);
    let polled = get(proxy.address(), "/v1/videos/models/veo-3/operations/abc:gemini");
    assert_eq!((polled.status, polled.code().as_str()), (502, "upstream_invalid_response"));
}

#[test]
fn an_answer_that_is_compressed_unasked_is_understood() {
    let file = bytes(100_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(done(&[sample(&STANDARD.encode(&file))]).as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let api = Upstream::start(move |_, stream| {
        answer(stream, 200, &[("content-type", "application/json"), ("content-encoding", "gzip")], &body)
    });
    let proxy = Proxy::start(&config(&api, ""));
    let whole = get(proxy.address(), CONTENT);
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.body == file);
}

#[test]
fn what_is_no_base64_is_an_error_or_a_connection_that_ends() {
    let (_api, proxy) = before(done(&[sample("!!!!")]));
    let broken = get(proxy.address(), CONTENT);
    assert_eq!((broken.status, broken.code().as_str()), (502, "upstream_invalid_response"));
    let (_api, proxy) = before(done(&[sample(&format!("{}!", "A".repeat(50_000)))]));
    let response = send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=0-1")]);
    assert_eq!((response.status, response.code().as_str()), (502, "upstream_invalid_response"));
}

#[test]
fn an_error_instead_of_an_answer_is_that_error() {
    for (status, want) in [(404, 404), (429, 429), (500, 502)] {
        let api = Upstream::json(status, r#"{"error":{"code":1,"message":"no","status":"X"}}"#);
        let proxy = Proxy::start(&config(&api, ", retries: 0"));
        assert_eq!(get(proxy.address(), CONTENT).status, want, "{status}");
    }
}

/// An answer that names its end last, so that it must be asked for again, told in pieces that take their time.
fn late(file: &[u8]) -> String {
    format!(
        r#"{{"response":{{"generateVideoResponse":{{"generatedSamples":[{}]}}}},"done":true}}"#,
        sample(&STANDARD.encode(file))
    )
}

#[test]
fn an_answer_that_takes_longer_than_a_poll_may_is_asked_for_again_all_the_same() {
    let file = bytes(100_000);
    let body = late(&file);
    let api = Upstream::start(move |_, stream| {
        let head =
            format!("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let pieces = body.as_bytes().chunks(body.len() / 6 + 1);
        stream.write_all(head.as_bytes()).is_ok()
            && pieces.into_iter().all(|piece| {
                std::thread::sleep(std::time::Duration::from_millis(200));
                stream.write_all(piece).is_ok()
            })
    });
    let proxy = Proxy::start(&config(&api, ", timeout: 700ms"));
    let whole = get(proxy.address(), CONTENT);
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.body == file, "{} bytes", whole.body.len());
}

#[test]
fn an_answer_that_fails_the_second_time_is_that_failure() {
    let body = late(&bytes(100_000));
    let count = std::sync::atomic::AtomicUsize::new(0);
    let api = Upstream::start(move |_, stream| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => answer(stream, 200, &[("content-type", "application/json")], body.as_bytes()),
        _ => answer(
            stream,
            429,
            &[("content-type", "application/json"), ("retry-after", "9")],
            br#"{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}"#,
        ),
    });
    let proxy = Proxy::start(&config(&api, ", retries: 0"));
    let failed = get(proxy.address(), CONTENT);
    assert_eq!((failed.status, failed.code().as_str()), (429, "rate_limit_exceeded"), "{}", failed.text());
    assert_eq!(failed.header("retry-after"), Some("9"));
}

#[test]
fn hostile_documents_are_errors_and_nothing_else() {
    let long = "A".repeat(40_000);
    let nest = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    let start = r#"{"done":true,"response":{"generateVideoResponse":{"generatedSamples":[{"video":{"encodedVideo":""#;
    let documents = [
        nest("[", "]"),
        nest("{\"a\":", "}"),
        format!("{}\"{long}\"", "[".repeat(100)),
        format!("{start}{long}"),
        format!("{start}{long}\\"),
        format!("{start}{long}\\u00"),
        format!("\"{long}\""),
        format!("{{\"{long}\":1}}"),
        "]}]}\"".repeat(10_000),
        String::new(),
    ];
    for document in documents {
        let shown: String = document.chars().take(40).collect();
        let (_api, proxy) = before(document);
        let got = send(proxy.address(), "GET", CONTENT, &[("Range", "bytes=0-1")]);
        assert_eq!(got.status, 502, "{shown}: {}", got.text());
        assert_eq!(get(proxy.address(), "/v1/videos/models/veo-3/operations/abc:nobody").status, 400);
    }
}

#[test]
fn a_video_behind_thousands_of_long_strings_is_found() {
    let file = bytes(100_000);
    let text = format!("\"{}\",", "x".repeat(17_000)).repeat(6_000);
    let document = format!(r#"{{"metadata":[{text}0],"done":true,{}"#, &done(&[sample(&STANDARD.encode(&file))])[24..]);
    let (_api, proxy) = before(document);
    let whole = get(proxy.address(), CONTENT);
    assert_eq!(whole.status, 200, "{}", whole.text());
    assert!(whole.body == file, "{} bytes", whole.body.len());
}

#[test]
fn a_video_that_ends_in_the_middle_never_looks_whole() {
    let start = r#"{"done":true,"response":{"generateVideoResponse":{"generatedSamples":[{"video":{"encodedVideo":""#;
    let long = "A".repeat(40_000);
    for rest in ["", "\\", "\\u00", "\u{1}", "é", "====\"", "=A\"}", "A\"}"] {
        let (_api, proxy) = before(format!("{start}{long}{rest}"));
        let mut client = crate::support::Client::connect(proxy.address());
        client.write(format!("GET {CONTENT} HTTP/1.1\r\nHost: videos.test\r\nConnection: close\r\n\r\n").as_bytes());
        let got = String::from_utf8_lossy(&client.read_to_end()).to_ascii_lowercase();
        // What has a closing quote is all there is of the string, whatever becomes of the answer.
        let is_closed = rest == "====\"" || rest == "A\"}";
        let is_cut = got.starts_with("http/1.1 200") && !got.ends_with("0\r\n\r\n");
        assert!(is_closed || is_cut || got.starts_with("http/1.1 502"), "{rest:?}: {} bytes", got.len());
    }
}
