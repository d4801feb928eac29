//! Turns a request into the contract's types, after checking it against the call's limits.

use greenroom_model::{LocationRef, Presence};

use crate::bindings::v0_1::types as wit;
use crate::{
    CallLimits, FaultKind, GuestFault, LocationRequest, Read, ReadOutcome, Request, StageCall, Want,
};

/// Refuses input over a limit, before the call is made (c27).
pub(crate) fn check_input(call: &StageCall, limits: &CallLimits) -> Result<(), GuestFault> {
    let request = call.request();
    let cache = request.cache.as_ref().map_or(0, String::len);
    let carry = match call {
        StageCall::ReadLocation(call) => call.carry.as_ref().map_or(0, String::len),
        _ => 0,
    };
    for (what, bytes, limit) in [
        ("entity", request.entity.text().len(), limits.entity_bytes),
        ("configuration", request.config.len(), limits.config_bytes),
        ("cache", cache, limits.cache_bytes),
        ("carry", carry, limits.carry_bytes),
    ] {
        if bytes as u64 > limit {
            let message = format!("the {what} given has {bytes} bytes; at most {limit} may be");
            return Err(GuestFault::new(FaultKind::OutputTooLarge, message));
        }
    }
    Ok(())
}

pub(crate) fn request(request: &Request) -> wit::Request {
    wit::Request {
        entity: request.entity.text().to_owned(),
        location: location(&request.location),
        origin_location: location(&request.origin_location),
        config: request.config.to_string(),
        cache: request.cache.clone(),
        reads: request.reads.iter().map(read).collect(),
        integrations: request
            .integrations
            .iter()
            .map(|integration| wit::Integration {
                type_: integration.r#type.clone(),
                host: integration.host.clone(),
            })
            .collect(),
        now: request.now_ms,
        extensions: Vec::new(),
    }
}

pub(crate) fn location_request(call: &LocationRequest) -> wit::LocationRequest {
    wit::LocationRequest {
        request: request(&call.request),
        target: location(&call.target),
        presence: match call.presence {
            Presence::Required => wit::Presence::Required,
            Presence::Optional => wit::Presence::Optional,
        },
        carry: call.carry.clone(),
    }
}

fn location(location: &LocationRef) -> wit::Location {
    wit::Location {
        type_: location.r#type.clone(),
        target: location.target.clone(),
    }
}

fn read(read: &Read) -> wit::Read {
    wit::Read {
        want: match &read.want {
            Want::Get(url) => wit::Want::Get(url.clone()),
            Want::List(pattern) => wit::Want::List(pattern.clone()),
        },
        outcome: match &read.outcome {
            ReadOutcome::Document {
                body,
                final_url,
                digest,
            } => wit::ReadOutcome::Document(wit::Document {
                body: body.to_vec(),
                final_url: final_url.clone(),
                digest: digest.to_string(),
            }),
            ReadOutcome::Listing(urls) => wit::ReadOutcome::Listing(urls.clone()),
            ReadOutcome::NotFound => wit::ReadOutcome::NotFound,
            ReadOutcome::Refused(why) => wit::ReadOutcome::Refused(why.clone()),
        },
    }
}
