SELECT one.verifier AS first, other.verifier AS second FROM store.verdicts AS one
JOIN store.verdicts AS other USING (class, prediction) WHERE one.verifier < other.verifier
GROUP BY ALL ORDER BY count(*) DESC, 1, 2 LIMIT 1
