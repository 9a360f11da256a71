//! Objects in a cloud's storage: where they are fetched with the credential that asked for the job.

use super::guard::{Guard, Target, refusal};
use crate::config::BaseAddress;
use crate::providers::{Arn, Job};
use crate::upstream::{Reach, encoded_path};
use crate::video::ApiError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The host of Google's JSON API: <https://cloud.google.com/storage/docs/json_api/v1/objects/get>.
const GOOGLE: &str = "storage.googleapis.com";

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether an address names an object in a storage.
pub(super) fn is_object(address: &str) -> bool {
    address.starts_with("gs://") || address.starts_with("s3://")
}

/// Where an object of this job is fetched; `None` for an address that is no object's.
pub(super) fn target(address: &str, job: &Job<'_>, guard: &Guard<'_>) -> Result<Option<Target>, ApiError> {
    let (scheme, name) = address.split_once("://").unwrap_or_default();
    match scheme {
        "gs" => {
            let (bucket, object) = parts(name)?;
            if !guard.is_home_of_results(GOOGLE) {
                return Err(refusal("it lies in a bucket of Google's, which no credential of this provider opens"));
            }
            let path = format!("/storage/v1/b/{bucket}/o/{}?alt=media", utf8_percent_encode(object, UNRESERVED));
            Ok(Some(at(GOOGLE.to_owned(), path, guard)))
        }
        "s3" => in_s3(name, job, guard).map(Some),
        _ => Ok(None),
    }
}

/// Bedrock writes into a bucket of the job's own region: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>.
fn in_s3(name: &str, job: &Job<'_>, guard: &Guard<'_>) -> Result<Target, ApiError> {
    let (bucket, key) = parts(name)?;
    let arn = Arn::parse(job.as_str());
    let place = arn.as_ref().and_then(|arn| Some((arn.region, arn.dns_suffix()?)));
    let (region, suffix) = place.ok_or_else(|| refusal("nothing says in which region its bucket is"))?;
    let key = encoded_path(key);
    // A certificate covers one label, so a bucket with dots stands in the path; so it does at other servers of the API.
    let in_path = bucket.contains('.') || guard.settings.storage_url.is_some();
    let (host, path) = match in_path {
        true => (format!("s3.{region}.{suffix}"), format!("/{bucket}/{key}")),
        false => (format!("{bucket}.s3.{region}.{suffix}"), format!("/{key}")),
    };
    Ok(Target { s3_region: Some(region.to_owned()), ..at(host, path, guard) })
}

/// At the storage's own host, or at the address that the settings put in its place.
fn at(host: String, path: String, guard: &Guard<'_>) -> Target {
    let (address, base_path, reach) = match &guard.settings.storage_url {
        Some(base) => (BaseAddress { path: String::new(), ..base.clone() }, base.path.as_str(), Reach::Anywhere),
        None => {
            let address = BaseAddress { tls: true, host, port: 443, path: String::new() };
            let reach = if guard.is_named(&address) { Reach::Anywhere } else { Reach::Public };
            (address, "", reach)
        }
    };
    let path = format!("{base_path}{path}");
    Target { path, address, reach, is_own: false, takes_credentials: true, s3_region: None }
}

/// Bucket and object, each a name that cannot leave its place.
fn parts(name: &str) -> Result<(&str, &str), ApiError> {
    let (bucket, object) = name.split_once('/').ok_or_else(|| refusal("it names no object in a bucket"))?;
    if !is_bucket(bucket) {
        return Err(refusal("its bucket has a name that no bucket has"));
    }
    // Such objects are possible, and more often somebody's attempt to leave the bucket.
    let is_odd = |segment: &str| matches!(segment, "." | "..");
    if object.is_empty() || object.split('/').any(is_odd) || object.chars().any(char::is_control) {
        return Err(refusal("its object has a name of dot segments or control characters, or none"));
    }
    Ok((bucket, object))
}

/// <https://cloud.google.com/storage/docs/buckets#naming>.
fn is_bucket(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
    (3..=222).contains(&name.len()) && name.bytes().all(is_plain) && !name.contains("..") && !name.starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Content, ContentMode};
    use crate::providers::find;
    use std::time::Duration;

    const GOOGLES: (&str, &str) =
        ("vertex", "projects/p-1/locations/global/publishers/google/models/veo-3/operations/a");
    const AMAZONS: (&str, &str) = ("bedrock", "arn:aws:bedrock:us-west-2:123456789012:async-invoke/a1b2c3d4e5f6");

    fn fetched_at(
        (kind, job): (&str, &str),
        address: &str,
        storage_url: Option<&str>,
    ) -> Result<Option<String>, ApiError> {
        let settings = Content {
            mode: ContentMode::Stream,
            allow_hosts: Vec::new(),
            idle_timeout: Duration::from_secs(1),
            storage_url: storage_url.map(|url| BaseAddress::parse(url).unwrap()),
        };
        let own = BaseAddress::parse("https://aiplatform.googleapis.com/v1").unwrap();
        let guard = Guard { row: find(kind).unwrap(), settings: &settings, own: &own };
        let job = find(kind).unwrap().job.check(job).unwrap();
        let target = target(address, &job, &guard)?;
        Ok(target.map(|target| format!("{}{} {:?}", target.address, target.path, target.reach)))
    }

    #[test]
    fn an_object_is_one_segment_of_the_call() {
        let google = "https://storage.googleapis.com/storage/v1/b";
        let table = [
            ("gs://films/a/b c.mp4", None, Some(format!("{google}/films/o/a%2Fb%20c.mp4?alt=media Public"))),
            ("gs://films/a?x=1#y", None, Some(format!("{google}/films/o/a%3Fx%3D1%23y?alt=media Public"))),
            (
                "gs://films/a",
                Some("http://127.0.0.1:4443/gcs"),
                Some("http://127.0.0.1:4443/gcs/storage/v1/b/films/o/a?alt=media Anywhere".to_owned()),
            ),
            ("https://storage.googleapis.com/films/a", None, None),
        ];
        for (address, storage_url, want) in table {
            assert_eq!(fetched_at(GOOGLES, address, storage_url).unwrap(), want, "{address}");
        }
    }

    #[test]
    fn an_object_in_s3_is_at_its_bucket_in_the_jobs_region() {
        let table = [
            ("s3://films/a/output.mp4", None, "https://films.s3.us-west-2.amazonaws.com/a/output.mp4 Public"),
            ("s3://films/a b?x", None, "https://films.s3.us-west-2.amazonaws.com/a%20b%3Fx Public"),
            ("s3://my.films/a.mp4", None, "https://s3.us-west-2.amazonaws.com/my.films/a.mp4 Public"),
            ("s3://films/a.mp4", Some("http://127.0.0.1:9000"), "http://127.0.0.1:9000/films/a.mp4 Anywhere"),
        ];
        for (address, storage_url, want) in table {
            assert_eq!(fetched_at(AMAZONS, address, storage_url).unwrap().as_deref(), Some(want), "{address}");
        }
        assert!(fetched_at(GOOGLES, "s3://films/a.mp4", None).is_err());
    }

    #[test]
    fn no_name_leaves_its_bucket() {
        let table = [
            "gs://films",
            "gs://films/",
            "gs:///a",
            "gs://other-bucket/../x",
            "gs://films/./x",
            "gs://../films/x",
            "gs://Films/x",
            "gs://a.b..c/x",
            "gs://films%2f..%2fx/y",
            "gs://films@evil.test/x",
            "gs://films:80/x",
            "gs://films/a\nb",
        ];
        for address in table {
            assert!(fetched_at(GOOGLES, address, None).is_err(), "{address:?}");
            let address = address.replace("gs:", "s3:");
            assert!(fetched_at(AMAZONS, &address, None).is_err(), "{address:?}");
        }
    }
}
