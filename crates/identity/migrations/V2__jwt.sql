-- The keys that tokens of this site are signed with: 32 bytes of an Ed25519 key each, sealed if the site has a key to seal with.
CREATE TABLE signing_keys (
    id TEXT NOT NULL PRIMARY KEY,
    sealed BOOLEAN NOT NULL,
    secret {blob} NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};
CREATE INDEX signing_keys_age ON signing_keys (created_at);

-- Signed tokens that were taken back before their time.
CREATE TABLE revoked_jwts (
    jti TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
) {clustered};
CREATE INDEX revoked_jwts_expiry ON revoked_jwts (expires_at);
