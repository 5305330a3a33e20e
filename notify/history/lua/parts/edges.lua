-- The buckets of histograms, the same as in histogram.py.
--
-- edge_of(seconds) -> the upper edge of the bucket that holds so many seconds, as text
local function edge_of(seconds)
  if seconds <= 0.001 then return '0.001' end
  if seconds <= 0.005 then return '0.005' end
  if seconds <= 0.01 then return '0.01' end
  if seconds <= 0.025 then return '0.025' end
  if seconds <= 0.05 then return '0.05' end
  if seconds <= 0.1 then return '0.1' end
  if seconds <= 0.25 then return '0.25' end
  if seconds <= 0.5 then return '0.5' end
  if seconds <= 1 then return '1' end
  if seconds <= 2.5 then return '2.5' end
  if seconds <= 5 then return '5' end
  if seconds <= 10 then return '10' end
  if seconds <= 30 then return '30' end
  if seconds <= 60 then return '60' end
  if seconds <= 300 then return '300' end
  if seconds <= 900 then return '900' end
  return 'inf'
end
