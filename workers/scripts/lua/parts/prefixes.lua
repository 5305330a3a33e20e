-- The arguments that the scripts of jobs have in common.
--
-- Before this part stands the table k, written by runner.py. It holds the prefixes of the keys that a script can only build when it
-- knows the job, its queue or its need, and further values that are the same for all calls of one process.
--
-- NOW_AT   the current time as RQ writes it, for the hashes of jobs; no decision depends on it
-- BODY     what stands in an event between its topic and its contents
-- OWN      where the arguments of the script itself begin, after these two
local NOW_AT, BODY = unpack(ARGV, 1, 2)
local OWN = 3
