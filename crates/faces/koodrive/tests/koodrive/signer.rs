//! An app's side of a signature, written from the specification alone: nothing of the server's is used here.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// A request as an app is about to send it.
#[derive(Clone, Debug)]
pub struct Signer {
    pub app: String,
    pub secret: String,
    pub user: String,
    pub date: String,
    pub host: String,
    /// Signed beside host, x-date and x-user-id: name in lower case, value.
    pub more: Vec<(&'static str, String)>,
    /// Whether the slash is added at the end of the path, as it must be.
    pub slash: bool,
}

impl Signer {
    /// The headers to send. `query` has plain pairs, in any order.
    pub fn headers(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<(&'static str, String)> {
        let mut signed =
            vec![("host", self.host.clone()), ("x-date", self.date.clone()), ("x-user-id", self.user.clone())];
        signed.extend(self.more.clone());
        signed.sort();
        self.sign(&signed, method, path, query, body)
    }

    /// The same, over these headers and no others.
    pub fn sign(
        &self,
        signed: &[(&'static str, String)],
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<(&'static str, String)> {
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let mut pairs = query.to_vec();
        pairs.sort_by(|a, b| a.0.cmp(b.0).then(a.1.cmp(b.1)));
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
        let slash = if self.slash && !path.ends_with('/') { "/" } else { "" };
        let request = [method, &format!("{path}{slash}"), &pairs.join("&"), &lines, &names, &sha256(body)].join("\n");
        let to_sign = format!("HMAC-SHA256\n{}", sha256(request.as_bytes()));
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(to_sign.as_bytes());
        let signature = hex::encode(mac.finalize().into_bytes());
        let credentials = format!("HMAC-SHA256 AppId={},SignedHeaders={names},Signature={signature}", self.app);
        let mut headers = vec![("authorization", credentials)];
        headers.extend(signed.iter().cloned());
        headers
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn escaped(text: &str) -> String {
    let unreserved = |c: &char| c.is_ascii_alphanumeric() || "-_.~".contains(*c);
    text.chars()
        .map(|c| match Some(c).filter(unreserved) {
            Some(c) => c.to_string(),
            None => c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect(),
        })
        .collect()
}

#[test]
fn the_specifications_vector_comes_out_here_too() {
    let signer = Signer {
        app: "app-1".into(),
        secret: "s3cr3t".into(),
        user: "1505084218764547200".into(),
        date: "20240909T033325Z".into(),
        host: "10.32.45.165".into(),
        more: Vec::new(),
        slash: true,
    };
    let headers = signer.headers("GET", "/koodrive/ose/v1/space/allocation/get", &[], b"");
    let wanted = "HMAC-SHA256 AppId=app-1,SignedHeaders=host;x-date;x-user-id,\
        Signature=066a4cb5b4055d7c573b13ba4230e9a90c6f58ec7046303cb61f285d07183c45";
    assert_eq!(headers[0].1, wanted);
}
