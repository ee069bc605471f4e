-- The keys that callers sign their requests with, sealed if the site has a key to seal with.
CREATE TABLE hmac_keys (
    face TEXT NOT NULL,
    id TEXT NOT NULL,
    sealed BOOLEAN NOT NULL,
    secret {blob} NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (face, id)
) {clustered};
