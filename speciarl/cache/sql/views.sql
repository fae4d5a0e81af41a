-- The class is collated for questions only: keys, joins and exports of ours take it as it stands.
CREATE TYPE verdict AS ENUM ({labels});
CREATE VIEW verifiers AS FROM store.verifiers;
CREATE VIEW lookups AS FROM store.lookups;
CREATE VIEW verdicts AS
SELECT verifier, class COLLATE NOCASE AS class, prediction, verdict::verdict AS verdict, {level},
       decided_by, judge_reply, milliseconds, run, created_at
FROM store.verdicts;
