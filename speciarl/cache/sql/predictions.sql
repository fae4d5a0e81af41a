-- Of what cannot be parsed nothing is correct, of what the judge failed on nothing is known: as in
-- the metrics. Grouping tells DuckDB that a join adds no rows; it leaves out those not asked for.
CREATE VIEW predictions AS
SELECT image, dataset, class_name COLLATE NOCASE AS class, run, seed, rollout,
       normalized AS prediction, verdict, level,
       CASE decided_by WHEN 'unparsable' THEN false ELSE correct END AS correct,
       decided_by, judge_reply, milliseconds, verifier, several_tagged
FROM (SELECT * REPLACE (verdict::verdict AS verdict), parse_path(file)[-3] AS run, {level}
      FROM read_parquet({judged}, filename = 'file', union_by_name = true,
                        hive_partitioning = false))
LEFT JOIN (SELECT dataset, sample_id, any_value(image) AS image
           FROM read_parquet({manifests}, union_by_name = true) GROUP BY ALL)
    USING (dataset, sample_id)
LEFT JOIN (SELECT verifier, class AS class_name, prediction AS normalized,
                  any_value(judge_reply) AS judge_reply, any_value(milliseconds) AS milliseconds
           FROM store.verdicts GROUP BY ALL)
    USING (verifier, class_name, normalized)
