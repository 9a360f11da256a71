//! Amazon resource names: the partition, region and account that a resource lies in.
//!
//! `arn:{partition}:{service}:{region}:{account}:{resource}`:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>.

/// The partitions with the beginning of their regions' names and the end of their hosts' names, as in botocore's
/// `partitions.json` (<https://github.com/boto/botocore/blob/develop/botocore/data/partitions.json>). Those that only
/// governments reach are left out.
const PARTITIONS: &[(&str, Area, &str)] = &[
    ("aws", Area::TwoLettersBut("cn"), "amazonaws.com"),
    ("aws-cn", Area::Is("cn"), "amazonaws.com.cn"),
    ("aws-us-gov", Area::Is("us-gov"), "amazonaws.com"),
    ("aws-eusc", Area::Is("eusc-de"), "amazonaws.eu"),
];

/// What stands before the direction in a region's name: `eu` in `eu-west-1`.
enum Area {
    Is(&'static str),
    TwoLettersBut(&'static str),
}

/// The parts of an Amazon resource name. They are as they were written; a caller checks those that it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    pub partition: &'a str,
    pub service: &'a str,
    pub region: &'a str,
    pub account: &'a str,
    /// May hold colons.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    pub fn parse(text: &'a str) -> Option<Arn<'a>> {
        let mut parts = text.strip_prefix("arn:")?.splitn(5, ':');
        Some(Arn {
            partition: parts.next()?,
            service: parts.next()?,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// How the names of its region's hosts end. `None` for a partition that is not known, and for a region that the
    /// partition cannot have.
    pub fn dns_suffix(&self) -> Option<&'static str> {
        let (_, area, suffix) = PARTITIONS.iter().find(|(name, ..)| *name == self.partition)?;
        area.has(self.region).then_some(*suffix)
    }
}

impl Area {
    /// `{area}-{direction}-{number}`.
    fn has(&self, region: &str) -> bool {
        let mut parts = region.rsplitn(3, '-');
        let (Some(number), Some(direction), Some(area)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase());
        let is_number = matches!(number.len(), 1 | 2) && number.bytes().all(|b| b.is_ascii_digit());
        let is_area = match self {
            Area::Is(name) => area == *name,
            Area::TwoLettersBut(other) => area.len() == 2 && is_word(area) && area != *other,
        };
        is_area && is_word(direction) && is_number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart() {
        let arn = Arn::parse("arn:aws:bedrock:us-west-2::foundation-model/luma.ray-v2:0").unwrap();
        let want = Arn {
            partition: "aws",
            service: "bedrock",
            region: "us-west-2",
            account: "",
            resource: "foundation-model/luma.ray-v2:0",
        };
        assert_eq!(arn, want);
        for text in ["", "arn", "arn:aws:bedrock:us-west-2:1", "ARN:aws:s3:::b", "urn:aws:bedrock:us-west-2:1:x"] {
            assert_eq!(Arn::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_region_lies_in_one_partition_and_has_its_hosts() {
        let table = [
            ("aws", "us-west-2", Some("amazonaws.com")),
            ("aws", "ap-southeast-7", Some("amazonaws.com")),
            ("aws", "mx-central-1", Some("amazonaws.com")),
            ("aws", "us-gov-west-1", None),
            ("aws", "cn-north-1", None),
            ("aws-cn", "cn-northwest-1", Some("amazonaws.com.cn")),
            ("aws-cn", "us-west-2", None),
            ("aws-us-gov", "us-gov-east-1", Some("amazonaws.com")),
            ("aws-us-gov", "us-west-2", None),
            ("aws-eusc", "eusc-de-east-1", Some("amazonaws.eu")),
            ("aws-iso", "us-iso-east-1", None),
            ("aws-evil", "us-west-2", None),
            ("", "us-west-2", None),
            ("aws", "", None),
            ("aws", "us-west", None),
            ("aws", "us-west-", None),
            ("aws", "us-west-2x", None),
            ("aws", "us-west-200", None),
            ("aws", "us-west2-2", None),
            ("aws", "us--2", None),
            ("aws", "-west-2", None),
            ("aws", "US-west-2", None),
            ("aws", "us-west-2.evil.example", None),
            ("aws", "evil.example/us-west-2", None),
            ("aws", "us@evil-west-2", None),
        ];
        for (partition, region, want) in table {
            let arn = Arn { partition, service: "bedrock", region, account: "", resource: "" };
            assert_eq!(arn.dns_suffix(), want, "{partition} {region}");
        }
    }
}
