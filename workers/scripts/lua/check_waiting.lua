-- include: workers.scripts.transitions
-- Applies losses to jobs that were enqueued a moment ago, while a service that they need was overdue. They may have started since.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         ...  ids
-- returns for each job  "queued" (also if it has started), "cancelled:<need>" or "held:<need>", and its needs as its hash holds them
local FIRST_ID = OWN
local jobs = transitions()
local now, answers = now_ms(), {}

local function status_of(id, fields)
  if fields.held then return 'held:' .. fields.held end
  if fields.status ~= 'canceled' then return 'queued' end
  local readable, outcome = pcall(cjson.decode, redis.call('HGET', k.job .. id, 'outcome') or '')
  return 'cancelled:' .. (readable and type(outcome) == 'table' and tostring(outcome.need or '') or '')
end

for i = FIRST_ID, #ARGV do
  local id = ARGV[i]
  local fields = jobs.read(id)
  if fields.status == 'queued' and jobs.apply_policy(id, fields, now, ' was not there when it was enqueued') then
    local is_first = whole(fields.turn, 0, -LARGEST) < 0
    redis.call('LREM', k.queue .. (fields.origin or ''), is_first and 1 or -1, id) -- from the end that it was put on
    fields = jobs.read(id)
  end
  answers[#answers + 1] = status_of(id, fields)
  answers[#answers + 1] = fields.needs or ''
end
flush_changes(now)
return answers
