//! Client access tokens made by the service. Source: rest-api 1.6 and 3.4.

use hubwire_protocol::names::{GroupName, UserId};
use hubwire_protocol::token::ClientTokenClaims;
use serde::Serialize;

use super::error::RestError;
use super::{Call, Caller, page};
use crate::clock::unix_seconds;
use crate::http::Response;

const MINUTES_DEFAULT: u64 = 60;

pub(super) fn generate(call: &Call<'_>) -> Result<Response, RestError> {
    if call.caller == Caller::AccessKey && !call.app.auth.generates_token_with_access_key {
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
    let token = call.app.auth.sign(&ClientTokenClaims {
        audience: call.origin.url(&format!("/client/hubs/{hub}")),
        issued_at: unix_seconds(),
        lifetime: minutes * 60,
        user_id,
        roles: call.query.all("role").map(str::to_owned).collect(),
        groups,
    });
    Ok(page::json(&Generated { token }))
}

#[derive(Serialize)]
struct Generated {
    token: String,
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
