SELECT verifier, decided_by, count(*) AS verdicts, sum(milliseconds) / 1000 AS seconds,
       avg(milliseconds) AS "mean ms"
FROM verdicts GROUP BY ALL ORDER BY ALL
