CREATE TABLE blobs (
    id TEXT NOT NULL PRIMARY KEY,
    claim_id TEXT NOT NULL,
    size BIGINT NOT NULL,
    sha256 {blob} NOT NULL,
    sealed BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    bytes {blob}
);

CREATE TABLE blobs_staging (
    id TEXT NOT NULL PRIMARY KEY,
    claim_id TEXT NOT NULL,
    created_at BIGINT NOT NULL
) {clustered};

CREATE TABLE blobs_doomed (
    id TEXT NOT NULL PRIMARY KEY
) {clustered};
