//! Settings of the REST surface.

/// Tunes the REST surface.
#[derive(Clone, Debug, PartialEq)]
pub struct RestConfig {
    /// Keeps `%2F` in a path segment as it is instead of decoding it to a slash.
    ///
    /// Default: false. Set it to true to see names exactly as the Azure service does.
    pub keep_encoded_slash: bool,
    /// Refuses bodies without a `Content-Length` with 400.
    ///
    /// Default: false, chunked bodies are read up to [`RestConfig::body_max`]. Set it to true to behave as the Azure
    /// service does.
    pub require_content_length: bool,
    /// Bounds the body of one request.
    ///
    /// Bytes; default: 1 MiB; range: 1 KiB to 1 GiB. Raise it for larger payloads.
    pub body_max: usize,
    /// Lists the origins whose pages may call REST; they get CORS headers and answers to preflight requests.
    ///
    /// Default: none, since REST is for servers and a page that can call it holds a key.
    pub cors_allowed_origins: Vec<String>,
}

impl Default for RestConfig {
    fn default() -> Self {
        Self {
            keep_encoded_slash: false,
            require_content_length: false,
            body_max: 1 << 20,
            cors_allowed_origins: Vec::new(),
        }
    }
}
