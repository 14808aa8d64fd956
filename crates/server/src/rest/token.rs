//! Client access tokens made by the service. Source: rest-api 1.6 and 3.4.

use http_body_util::Full;
use hubwire_protocol::names::{GroupName, UserId};
use hubwire_protocol::token::ClientTokenClaims;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HOST};

use super::Call;
use super::error::RestError;
use crate::clock::unix_seconds;
use crate::http::{Response, empty, with_header};

const MINUTES_DEFAULT: u64 = 60;

pub(super) fn generate(call: &Call<'_>) -> Result<Response, RestError> {
    if !call.app.auth.generates_token_with_access_key {
        return Err(RestError::unauthorized(
            "Access keys are not accepted here.",
        ));
    }
    let hub = call.hub()?;
    let minutes = minutes_to_expire(call.query.first("minutesToExpire"))?;
    let groups: Vec<String> = call.query.all("group").map(str::to_owned).collect();
    for group in &groups {
        GroupName::new(group).map_err(|error| RestError::from(error).with_target("group"))?;
    }
    match call.query.first("clientType") {
        None => {}
        Some(kind) if kind.eq_ignore_ascii_case("Default") => {}
        Some(_) => {
            return Err(RestError::bad_request("Invalid clientType.").with_target("clientType"));
        }
    }
    let user_id = match call.query.first("userId") {
        None | Some("") => None,
        Some(id) => Some(UserId::new(id)?.as_str().to_owned()),
    };
    let host = match call.parts.uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => call
            .parts
            .headers
            .get(HOST)
            .and_then(|host| host.to_str().ok()),
    };
    let scheme = if call.is_tls { "https" } else { "http" };
    let token = call.app.auth.sign(&ClientTokenClaims {
        audience: format!("{scheme}://{}/client/hubs/{hub}", host.unwrap_or_default()),
        issued_at: unix_seconds(),
        lifetime: minutes * 60,
        user_id,
        roles: call.query.all("role").map(str::to_owned).collect(),
        groups,
    });
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Full::from(serde_json::json!({ "token": token }).to_string());
    Ok(with_header(
        response,
        CONTENT_TYPE,
        "application/json; charset=utf-8",
    ))
}

fn minutes_to_expire(text: Option<&str>) -> Result<u64, RestError> {
    let Some(text) = text else {
        return Ok(MINUTES_DEFAULT);
    };
    match text.parse::<i32>() {
        Ok(minutes) if minutes >= 1 => Ok(minutes as u64),
        Ok(_) | Err(_) => Err(RestError::bad_request(format!(
            "Invalid minutesToExpire '{text}', it is 1 to {}.",
            i32::MAX
        ))),
    }
}
