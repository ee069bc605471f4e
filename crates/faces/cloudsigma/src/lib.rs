//! CloudSigma 2.0: drives, `/api/2.0/…`.
