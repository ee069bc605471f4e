//! CarrierX: storage containers and files, `/core/v2/…`.
