SELECT run, count(*) AS verdicts, min(created_at) AS first, max(created_at) AS last
FROM verdicts GROUP BY ALL ORDER BY first, run
