//! The model's URL arithmetic, for processors that follow references or make links.

pub use greenroom_model::location::resolve_target;
pub use greenroom_model::url_arithmetic::{
    Integration, IntegrationType, Integrations, Repository, SourceLinks, UrlError, WebUrl,
    is_absolute_url, resolve_url, same_repository,
};

/// The hosts of a request, with the public ones. A kind that this track does not know helps no
/// arithmetic and is left out.
pub(crate) fn integrations(hosts: impl IntoIterator<Item = (String, String)>) -> Integrations {
    const TYPES: [IntegrationType; 6] = [
        IntegrationType::Azure,
        IntegrationType::BitbucketCloud,
        IntegrationType::BitbucketServer,
        IntegrationType::Github,
        IntegrationType::Gitlab,
        IntegrationType::Gitea,
    ];
    Integrations::with_public_hosts(
        hosts
            .into_iter()
            .filter_map(|(name, host)| {
                let known = TYPES.into_iter().find(|known| known.as_str() == name)?;
                Some(Integration::new(known, host))
            })
            .collect(),
    )
}
