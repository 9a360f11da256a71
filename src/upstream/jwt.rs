//! JSON Web Tokens (RFC 7519), as far as they are made here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

/// A token with this header and these claims, signed by `sign`.
pub(super) fn encode<H: Serialize, C: Serialize>(
    header: &H,
    claims: &C,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, String>,
) -> Result<String, String> {
    let signed = format!("{}.{}", part(header)?, part(claims)?);
    let signature = sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn part<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_vec(value).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::hmac;
    use serde_json::value::RawValue;

    /// The example of RFC 7515, appendix A.1, whose JSON is written over several lines.
    #[test]
    fn a_token_is_written_as_in_the_standard() {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
        let header = raw("{\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"}");
        let claims = raw("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}");
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let key = hmac::Key::new(hmac::HMAC_SHA256, &URL_SAFE_NO_PAD.decode(key).unwrap());
        let token = encode(&header, &claims, |signed| Ok(hmac::sign(&key, signed).as_ref().to_vec())).unwrap();
        assert_eq!(
            token,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
             .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ\
             .dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        );
    }
}
