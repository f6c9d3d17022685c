-- Forgets the last entries of containers that the stream holds nothing about any more.
--
-- ARGV: the stream. Looks at some of them by chance, so that no step takes long however many there are; what is gone is
-- found in the end. Answers with how many were looked at and how many were forgotten.

local stream = take(1)
local last = prefix .. 'last:' .. stream
-- A negative count does not copy the whole hash; one may be met twice.
local some = redis.call('HRANDFIELD', last, -512, 'WITHVALUES')
local first = redis.call('XRANGE', prefix .. stream, '-', '+', 'COUNT', 1)[1]
local gone, count = {}, 0
for i = 1, #some, 2 do
    if not gone[some[i]] and (not first or is_later(first[1], some[i + 1])) then
        gone[some[i]] = true
        count = count + redis.call('HDEL', last, some[i])
    end
end
return { #some / 2, count }
