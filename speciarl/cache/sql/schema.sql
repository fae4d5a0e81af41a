CREATE TYPE verdict AS ENUM ({labels});
CREATE TABLE store AS SELECT uuid()::VARCHAR AS id, {layout} AS layout;
CREATE SEQUENCE stored;
CREATE TABLE verifiers (verifier VARCHAR, identity JSON);
CREATE TABLE verdicts (
    verifier VARCHAR, class VARCHAR, prediction VARCHAR, verdict verdict, decided_by VARCHAR,
    judge_reply VARCHAR, milliseconds FLOAT, run VARCHAR, created_at TIMESTAMP,
    key_high UBIGINT, key_low UBIGINT, number BIGINT DEFAULT nextval('stored'));
CREATE TABLE lookups (
    run VARCHAR, step BIGINT, hits BIGINT, misses BIGINT, failures BIGINT, asked BIGINT,
    judge_seconds DOUBLE, created_at TIMESTAMP);
