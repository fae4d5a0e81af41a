-- Of a step repeated after an interruption the last lookups count, but all that was spent.
SELECT run, step IS NOT NULL AS training, count(DISTINCT step) AS steps,
       sum(hits + misses) FILTER (last)::BIGINT AS lookups,
       sum(hits) FILTER (last)::BIGINT AS hits,
       sum(hits) FILTER (last) / sum(hits + misses) FILTER (last) AS "hit rate",
       sum(asked)::BIGINT AS asked, sum(failures)::BIGINT AS failures,
       sum(judge_seconds) AS "judge seconds"
FROM (SELECT *, step IS NULL OR row_number() OVER newest = 1 AS last FROM lookups
      WINDOW newest AS (PARTITION BY run, step ORDER BY created_at DESC))
GROUP BY ALL ORDER BY ALL
