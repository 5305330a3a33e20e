-- include: workers.scripts.transitions
-- Cancels jobs that have not started, on request.
-- KEYS    none: the keys are built from the prefixes
-- ARGV    NOW_AT, BODY  see parts/prefixes.lua
--         reason
--         from_list  "1" takes each job out of the list of its queue, by a search through the list, so use it for few jobs; otherwise
--                    call compact_queue afterwards
--         queue      only jobs on this queue, or ""
--         ...        ids
-- returns how many were cancelled
local reason, from_list, queue = unpack(ARGV, OWN, OWN + 2)
local FIRST_ID = OWN + 3
local jobs = transitions()
local now, cancelled = now_ms(), 0
local cancellation = jobs.cancellation_of(reason, now, why_asked())
for i = FIRST_ID, #ARGV do
  local id = ARGV[i]
  local fields = jobs.read(id)
  if jobs.is_waiting(fields) and (queue == '' or fields.origin == queue) then
    jobs.cancel(id, fields, cancellation, now)
    if from_list == '1' then
      redis.call('LREM', k.queue .. (fields.origin or ''), 1, id)
    end
    cancelled = cancelled + 1
  end
end
flush_changes(now)
return cancelled
