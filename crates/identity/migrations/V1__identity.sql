CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT,
    allotment_id TEXT,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL,
    name TEXT NOT NULL,
    password TEXT,
    admin BOOLEAN NOT NULL,
    repository_admin BOOLEAN NOT NULL,
    disabled BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE UNIQUE INDEX users_email ON users (email_key);
CREATE INDEX users_tenant ON users (tenant_id, id);

CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    sha256 {blob} NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
) {clustered};
CREATE UNIQUE INDEX tokens_sha256 ON tokens (sha256);
CREATE INDEX tokens_user ON tokens (user_id, id);
CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE sessions (
    sha256 {blob} NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    face TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
) {clustered};
CREATE INDEX sessions_user ON sessions (user_id, created_at);
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE grants (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    allotment_id TEXT NOT NULL REFERENCES allotments (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (user_id, allotment_id)
) {clustered};
CREATE INDEX grants_allotment ON grants (allotment_id);
