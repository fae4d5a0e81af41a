SELECT verifier, identity->>'verifier' AS kind, count(verdict) AS verdicts, {counted}
FROM verifiers LEFT JOIN verdicts USING (verifier) GROUP BY ALL ORDER BY verdicts DESC, 1
