-- A pair stands in the snapshots of all datasets that have its class.
INSERT INTO verdicts BY NAME
SELECT DISTINCT ON (key_high, key_low) *, 'snapshot' AS run FROM read_parquet({snapshots})
ANTI JOIN verdicts USING (key_high, key_low)
