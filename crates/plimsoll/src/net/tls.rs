//! https: a certificate chain and its key, from PEM files.

use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

use crate::fault::{Doing, Fault};

/// What answers a TLS handshake.
pub fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, Fault> {
    let reading = |path: &Path| format!("read {}", path.display());
    let certificates = CertificateDer::pem_file_iter(chain).doing(reading(chain))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().doing(reading(chain))?;
    if certificates.is_empty() {
        return Err(Fault::new(format!("{} holds no certificate", chain.display())));
    }
    let key = PrivateKeyDer::from_pem_file(key).doing(reading(key))?;
    let provider = Arc::new(ring::default_provider());
    let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = versions.doing("set up TLS")?.with_no_client_auth().with_single_cert(certificates, key);
    let mut config = config.doing("use this certificate and key together")?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
