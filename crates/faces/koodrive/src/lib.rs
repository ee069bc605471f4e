//! KooDrive: a tenant's space at a glance, `/koodrive/ose/…`.
