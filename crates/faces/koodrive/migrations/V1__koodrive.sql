CREATE TABLE koodrive_users (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    admin BOOLEAN NOT NULL
) {clustered};
CREATE INDEX koodrive_users_person ON koodrive_users (user_id, id);
CREATE INDEX koodrive_users_tenant ON koodrive_users (tenant_id, id);

CREATE TABLE koodrive_apps (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    response_form TEXT NOT NULL
) {clustered};
CREATE INDEX koodrive_apps_tenant ON koodrive_apps (tenant_id, id);

CREATE TABLE koodrive_tokens (
    sha256 {blob} NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES koodrive_users (id) ON DELETE CASCADE
) {clustered};
CREATE INDEX koodrive_tokens_user ON koodrive_tokens (user_id);
CREATE INDEX koodrive_tokens_tenant ON koodrive_tokens (tenant_id);

CREATE TABLE koodrive_spaces (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    kind BIGINT NOT NULL,
    owner_id TEXT NOT NULL,
    disabled BOOLEAN NOT NULL,
    capabilities TEXT,
    creator TEXT NOT NULL,
    modifier TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) {clustered};
CREATE INDEX koodrive_spaces_owner ON koodrive_spaces (tenant_id, owner_id, kind, id);
CREATE UNIQUE INDEX koodrive_spaces_department ON koodrive_spaces (tenant_id, owner_id) WHERE kind = 0;
