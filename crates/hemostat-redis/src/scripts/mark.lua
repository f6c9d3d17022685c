-- Marks the log as one that only a replay writes, where there is no log yet. Answers whether it is marked.
--
-- In one step with the look: whoever opens the namespace meanwhile makes a log of it before, or finds the mark.

local meta = prefix .. 'meta'
if redis.call('EXISTS', meta, prefix .. 'seq', prefix .. 'streams') == 0 then
    redis.call('HSET', meta, 'shadow', '1')
end
return redis.call('HEXISTS', meta, 'shadow')
