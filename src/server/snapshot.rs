//! What a config makes of the program. A request holds the one it began with until it ends.

use super::passthrough::Services;
use crate::config::Settings;
use crate::gateway::{Gateway, GatewayError, Observer};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// All that follows from one config and can be replaced by another while requests are served.
pub(super) struct Snapshot {
    pub gateway: Gateway,
    pub services: Services,
    pub logs_access: bool,
}

/// The snapshot that new requests begin with.
pub(super) type Current = Arc<ArcSwap<Snapshot>>;

impl Snapshot {
    pub fn new(settings: &Settings, observer: &dyn Observer) -> Result<Snapshot, GatewayError> {
        Ok(Snapshot {
            gateway: Gateway::observed(settings, observer)?,
            services: Services::new(&settings.passthrough),
            logs_access: settings.log.access,
        })
    }

    /// The snapshot of new settings, with what did not change taken over.
    pub fn renewed(&self, settings: &Settings, observer: &dyn Observer) -> Result<Snapshot, GatewayError> {
        Ok(Snapshot {
            gateway: self.gateway.renewed(settings, observer)?,
            services: self.services.renewed(&settings.passthrough),
            logs_access: settings.log.access,
        })
    }
}
