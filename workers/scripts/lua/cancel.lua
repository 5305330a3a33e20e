-- include: workers.scripts.transitions
-- Cancels jobs that have not started, on request.
-- KEYS    none: they are built from the names
-- ARGV    1-2 as in names.lua, then  1 reason  2 "1" to take them out of the list of their queue too: a search through all of it for
--         each, so it is for few; else the list is to be tidied afterwards  3 only those on this queue, or ""  4... ids
-- returns how many were cancelled
local w = of_waiting()
local now, cancelled = now_ms(), 0
local ending = w.ending_of(arg(1), now, why_asked())
for i = 6, #ARGV do
  local id = ARGV[i]
  local fields = w.read(id)
  if w.waits(fields) and (arg(3) == '' or fields.origin == arg(3)) then
    w.cancel_one(id, fields, ending, now)
    if arg(2) == '1' then
      redis.call('LREM', k.queue .. (fields.origin or ''), 1, id)
    end
    cancelled = cancelled + 1
  end
end
settle(now)
return cancelled
