-- Included by the scripts of jobs, first of all ("-- include: names"); it is not run by itself.
--
-- k       how the keys begin that a script can only build when it knows the job, its queue or its need, and what goes into events.
--         It takes KEYS 1-6 and ARGV 1-31, the same for all of these scripts (names.py).
-- key(n), arg(n)   the KEYS and ARGV that come after those: a script's own
local k = {
  losses = KEYS[1], services = KEYS[2], topics = KEYS[3], held_pairs = KEYS[4], holds = KEYS[5], turn = KEYS[6],
  job = ARGV[1], queue = ARGV[2], started = ARGV[3], finished = ARGV[4], canceled = ARGV[5], deferred = ARGV[6], scheduled = ARGV[7],
  execution = ARGV[8], executions = ARGV[9], results = ARGV[10], dependents = ARGV[11], dependents_end = ARGV[12],
  dependencies = ARGV[13], dependencies_end = ARGV[14], needs = ARGV[15], provides = ARGV[16], tombstone = ARGV[17],
  held = ARGV[18], ramp = ARGV[19], log = ARGV[20], head = ARGV[21], channel = ARGV[22], topic = ARGV[23],
  tells = ARGV[24], limits = {length = ARGV[25], log_ms = tonumber(ARGV[26]), head_ms = tonumber(ARGV[27])},
  body = ARGV[28], keep_ms = tonumber(ARGV[29]), now_at = ARGV[30], failed = ARGV[31],
}

local function key(n)
  return KEYS[6 + n]
end

local function arg(n)
  return ARGV[31 + n]
end
