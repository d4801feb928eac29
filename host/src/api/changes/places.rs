//! How many streams may be open: of one tenant, so that none takes all, and in total, so that streams never take the last
//! connections (h14).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use greenroom_model::TenantId;

use crate::api::error::ApiError;
use crate::metrics::{Metric, Sheet};

/// Streams of one tenant.
const MAX_OF_TENANT: usize = 64;
/// Streams of all tenants: a quarter of the connections that this process takes.
const MAX_IN_TOTAL: usize = 1_024;
/// When to try again, in seconds.
const RETRY_S: u32 = 5;

/// The streams that are open, by tenant.
#[derive(Default)]
pub(crate) struct StreamPlaces {
    open: Mutex<HashMap<TenantId, usize>>,
}

impl StreamPlaces {
    /// Takes a place for as long as the value lives.
    pub(super) fn take(
        self: &Arc<Self>,
        tenant: TenantId,
        sheet: &Arc<Sheet>,
    ) -> Result<StreamPlace, ApiError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let own = open.get(&tenant).copied().unwrap_or_default();
        if own >= MAX_OF_TENANT {
            let message = format!(
                "{MAX_OF_TENANT} streams of this tenant are open, which is the most; close one, or read pages"
            );
            return Err(ApiError::too_many(message).after(RETRY_S));
        }
        if total >= MAX_IN_TOTAL {
            let message = "as many streams are open as this host serves; try again, or read pages";
            return Err(ApiError::too_many(message).after(RETRY_S));
        }
        open.insert(tenant, own + 1);
        drop(open);
        sheet.add(Metric::ChangeStreams, &[], 1.0);
        Ok(StreamPlace {
            places: Arc::clone(self),
            sheet: Arc::clone(sheet),
            tenant,
        })
    }
}

/// One open stream.
pub(super) struct StreamPlace {
    places: Arc<StreamPlaces>,
    sheet: Arc<Sheet>,
    tenant: TenantId,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let open = &self.places.open;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
        drop(open);
        self.sheet.add(Metric::ChangeStreams, &[], -1.0);
    }
}
