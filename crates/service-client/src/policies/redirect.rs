//! Follows redirects, without credentials where they lead to another host.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::Bytes;
use azure_core::http::headers::{AUTHORIZATION, CONTENT_TYPE, HeaderName};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Body, Context, Method, Request, Url};

use crate::policies::SECRET_HEADERS;

/// Most redirects of one try.
const REDIRECTS_MAX: u32 = 5;
const LOCATION: HeaderName = HeaderName::from_static("location");

/// In the context of a request that must not carry who asks: it goes to another host than the call's, or needs no proof.
pub(crate) struct Unsigned;

#[derive(Debug)]
pub(crate) struct Redirect;

#[async_trait]
impl Policy for Redirect {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let response = next[0].send(ctx, request, &next[1..]).await?;
        let Some(target) = target(request.url(), *response.status(), response.headers()) else {
            return Ok(response);
        };
        // A retry begins with the first address again, so the request itself must stay as it is.
        self.follow(ctx, request.clone(), response, target, next)
            .await
    }
}

impl Redirect {
    async fn follow(
        &self,
        ctx: &Context<'_>,
        mut request: Request,
        mut response: azure_core::http::AsyncRawResponse,
        mut target: Url,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let home = request.url().origin();
        let mut ctx = ctx.to_borrowed();
        for _ in 0..REDIRECTS_MAX {
            if *response.status() == 303 && request.method() != Method::Head {
                request.set_method(Method::Get);
                request.set_body(Body::Bytes(Bytes::new()));
                request.headers_mut().remove(CONTENT_TYPE);
            }
            if request.body_mut().reset().await.is_err() {
                return Ok(response);
            }
            // Once away, never signed again: the other host chose where this leads.
            if target.origin() != home {
                ctx.insert(Unsigned);
                for name in SECRET_HEADERS {
                    request.headers_mut().remove(name);
                }
            }
            request.headers_mut().remove(AUTHORIZATION);
            *request.url_mut() = target;
            response = next[0].send(&ctx, &mut request, &next[1..]).await?;
            match self::target(request.url(), *response.status(), response.headers()) {
                Some(further) => target = further,
                None => return Ok(response),
            }
        }
        Ok(response)
    }
}

/// Returns where a response redirects to. A way from https to http is none.
fn target(from: &Url, status: u16, headers: &azure_core::http::headers::Headers) -> Option<Url> {
    if !matches!(status, 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let target = from.join(headers.get_optional_str(&LOCATION)?).ok()?;
    let is_known = matches!(target.scheme(), "http" | "https");
    let is_downgrade = from.scheme() == "https" && target.scheme() == "http";
    (is_known && !is_downgrade).then_some(target)
}
