//! One GET gives one video object, whoever runs the job.

use crate::support::{Providers, Proxy, get};
use vidgate::sandbox::KINDS;

const KEYS: &[&str] = &[
    "id",
    "object",
    "model",
    "status",
    "progress",
    "prompt",
    "remixed_from_video_id",
    "seconds",
    "size",
    "created_at",
    "completed_at",
    "expires_at",
    "videos",
    "error",
    "content_filter",
    "extra_fields",
];

#[test]
fn a_finished_job_of_every_kind_is_one_video_object() {
    let providers = Providers::instant();
    let proxy = Proxy::start(&providers.config(""));
    for kind in KINDS {
        for job in kind.examples {
            let id = format!("{job}:{}", kind.name);
            let response = get(proxy.address(), &format!("/v1/videos/{id}"));
            assert_eq!(response.status, 200, "{id}: {}", response.text());
            let video = response.json();
            assert_eq!((video["id"].as_str(), video["status"].as_str()), (Some(id.as_str()), Some("completed")));
            assert_eq!(video["videos"].as_array().map(Vec::len), Some(1), "{id}");
            assert_eq!(video["extra_fields"]["provider"], kind.name);
            let text = response.text();
            let mut places =
                KEYS.iter().map(|key| text.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{id}: {key}")));
            assert!(places.by_ref().is_sorted(), "{id}: the keys are out of order");
        }
    }
}
