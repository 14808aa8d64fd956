//! An OpenID Connect issuer of the test's own.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hubwire_server::config::{Config, IDENTITY_AUDIENCE, OidcConfig};
use serde_json::{Value, json};

use super::handler::{Recorded, Reply, TestHandler, reply};
use super::{merge, unix_seconds};

pub(crate) const OWNER: &str = "Web PubSub Service Owner";
pub(crate) const READER: &str = "Web PubSub Service Reader";

/// A key pair with the id that tokens call it by.
pub(crate) struct SigningKey {
    pub(crate) id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl SigningKey {
    /// Makes a key for RS256 and PS256.
    pub(crate) fn rsa(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        }
    }

    /// Makes a key for ES256, which is done much faster.
    pub(crate) fn ec(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            id: id.to_owned(),
            pair: Pair::Ec(pair),
        }
    }

    /// Returns the public half as an entry of a key set.
    pub(crate) fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let key = pair.public_key();
                let n = key.modulus().big_endian_without_leading_zero();
                let e = key.exponent().big_endian_without_leading_zero();
                json!({ "kid": self.id, "kty": "RSA", "use": "sig", "n": base64(n), "e": base64(e) })
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({ "kid": self.id, "kty": "EC", "crv": "P-256", "use": "sig", "x": base64(x), "y": base64(y) })
            }
        }
    }

    /// Returns the bytes of the public half.
    pub(crate) fn public_bytes(&self) -> &[u8] {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_ref(),
            Pair::Ec(pair) => pair.public_key().as_ref(),
        }
    }

    /// Makes a token with a head of these members beside `kid`.
    pub(crate) fn token_with(&self, head: Value, claims: &Value) -> String {
        let mut all = json!({ "kid": self.id, "typ": "JWT" });
        merge(&mut all, head);
        if all["kid"].is_null() {
            all.as_object_mut().unwrap().remove("kid");
        }
        let signed = format!("{}.{}", encode(&all), encode(claims));
        let signature = self.sign(all["alg"].as_str().unwrap(), signed.as_bytes());
        format!("{signed}.{}", base64(&signature))
    }

    /// Makes a token by the usual algorithm of the key.
    pub(crate) fn token(&self, claims: &Value) -> String {
        let algorithm = match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
        };
        self.token_with(json!({ "alg": algorithm }), claims)
    }

    fn sign(&self, algorithm: &str, text: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match (&self.pair, algorithm) {
            (Pair::Rsa(pair), "RS256" | "PS256") => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = match algorithm {
                    "RS256" => &RSA_PKCS1_SHA256,
                    _ => &RSA_PSS_SHA256,
                };
                pair.sign(padding, &random, text, &mut signature).unwrap();
                signature
            }
            (Pair::Ec(pair), "ES256") => pair.sign(&random, text).unwrap().as_ref().to_vec(),
            (_, "HS256") => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.public_bytes());
                hmac::sign(&key, text).as_ref().to_vec()
            }
            (_, "none") => Vec::new(),
            _ => b"a signature that is none".to_vec(),
        }
    }
}

/// A running issuer.
pub(crate) struct Issuer {
    pub(crate) url: String,
    answers: Arc<Mutex<Answers>>,
    server: TestHandler,
}

#[derive(Default)]
struct Answers {
    url: String,
    keys: Vec<Value>,
    failing: Option<u16>,
    discovery: Value,
    padding: usize,
}

impl Issuer {
    /// Starts an issuer with these keys.
    pub(crate) async fn start(keys: &[&SigningKey]) -> Self {
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let shared = answers.clone();
        let server =
            TestHandler::start(move |request| answer(&shared.lock().unwrap(), request)).await;
        let url = server.url("");
        {
            let mut answers = answers.lock().unwrap();
            answers.url = url.clone();
            answers.discovery = json!({});
        }
        let issuer = Self {
            url,
            answers,
            server,
        };
        issuer.publish(keys);
        issuer
    }

    /// Has the key set hold these keys.
    pub(crate) fn publish(&self, keys: &[&SigningKey]) {
        self.answers.lock().unwrap().keys = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Has every request answered with an error, or none any more.
    pub(crate) fn fail(&self, status: Option<u16>) {
        self.answers.lock().unwrap().failing = status;
    }

    /// Has discovery answer other members.
    pub(crate) fn misguide(&self, members: Value) {
        self.answers.lock().unwrap().discovery = members;
    }

    /// Has the key set be longer by so many bytes.
    pub(crate) fn pad(&self, bytes: usize) {
        self.answers.lock().unwrap().padding = bytes;
    }

    /// Counts the requests for keys so far.
    pub(crate) fn fetches(&self) -> usize {
        let requests = self.server.requests();
        requests
            .iter()
            .filter(|request| request.uri.path() == "/keys")
            .count()
    }

    /// Returns how it is configured.
    pub(crate) fn config(&self) -> OidcConfig {
        OidcConfig {
            allow_http: true,
            ..OidcConfig::new(&self.url)
        }
    }

    /// Lets a service accept its tokens.
    pub(crate) fn trusted(&self) -> impl FnOnce(&mut Config) + use<> {
        let oidc = self.config();
        move |config| {
            config.auth.disable_identity_auth = false;
            config.auth.oidc = vec![oidc];
        }
    }

    /// Returns the claims of a good token with these roles.
    pub(crate) fn claims(&self, roles: &[&str]) -> Value {
        claims(&self.url, roles)
    }
}

/// Returns the claims of a good token of an issuer.
pub(crate) fn claims(issuer: &str, roles: &[&str]) -> Value {
    json!({
        "iss": issuer,
        "aud": IDENTITY_AUDIENCE,
        "nbf": unix_seconds(),
        "exp": unix_seconds() + 3600,
        "roles": roles,
    })
}

/// Returns claims of which some differ; those that are null are left out.
pub(crate) fn changed(mut claims: Value, change: Value) -> Value {
    merge(&mut claims, change);
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

fn answer(answers: &Answers, request: &Recorded) -> Reply {
    let json = [("Content-Type", "application/json")];
    match (answers.failing, request.uri.path()) {
        (Some(status), _) => reply(status, &[], ""),
        (None, "/.well-known/openid-configuration") => {
            let url = &answers.url;
            let mut found = json!({ "issuer": url, "jwks_uri": format!("{url}/keys") });
            merge(&mut found, answers.discovery.clone());
            reply(200, &json, found.to_string())
        }
        (None, "/keys") => {
            let keys = json!({ "keys": answers.keys }).to_string();
            reply(200, &json, keys + &" ".repeat(answers.padding))
        }
        (None, _) => reply(404, &[], ""),
    }
}

fn encode(value: &Value) -> String {
    base64(value.to_string().as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
