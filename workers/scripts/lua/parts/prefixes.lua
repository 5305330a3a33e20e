-- Included by the scripts of jobs, first of all ("-- include: names"); it is not run by itself.
--
-- Before it stands the table k, written by names.py: how the keys begin that a script can only build when it knows the job, its
-- queue or its need, and what is the same for all calls of one process. KEYS are none but those of a script's own.
-- ARGV 1-2 are the same for all of these scripts: the present as RQ writes it, and what stands in an event between its topic and
-- its contents.
-- arg(n)   the ARGV after those
local NOW_AT, BODY = ARGV[1], ARGV[2]

local function arg(n)
  return ARGV[2 + n]
end
